using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>
/// The product as a person has it: the <c>distmigrate</c> command, and the silo that the first command starts by itself, with a state
/// folder and a storage root of their own. Disposing ends the silo by its pid and deletes both folders.
/// </summary>
public sealed class ProductUnderTest : IAsyncLifetime, IAsyncDisposable
{
    private static readonly TimeSpan CommandLimit = TimeSpan.FromSeconds(120);
    private static readonly ConcurrentDictionary<ProductUnderTest, bool> Living = new();

    private readonly string _folder = Directory.CreateTempSubdirectory("dm-e2e-").FullName;

    static ProductUnderTest() =>
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var product in Living.Keys)
                product.EndSilos();
        };

    public ProductUnderTest()
    {
        Directory.CreateDirectory(StorageRoot);
        Living[this] = true;
    }

    /// <summary>Variables that every command, and so a silo that it starts, gets beside the test's own: silo settings such as <c>DISTMIGRATE_Limits__Writers</c>. Set them before the first command.</summary>
    public Dictionary<string, string> Settings { get; } = [];

    /// <summary>The silo's state folder; it exists once a silo was started.</summary>
    public string StateFolder => Path.Combine(_folder, "state");

    /// <summary>The only folder below which the silo may write images; on disk.</summary>
    public string StorageRoot => Path.Combine(_folder, "images");

    /// <summary>What the silo logged so far.</summary>
    public string SiloLog => File.Exists(Path.Combine(StateFolder, "silo.log")) ? File.ReadAllText(Path.Combine(StateFolder, "silo.log")) : "";

    /// <summary>A path in <see cref="StorageRoot"/>.</summary>
    public string Image(string name) => Path.Combine(StorageRoot, name);

    /// <summary>Runs a command to its end.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <returns>Exit code and output, whatever they are.</returns>
    /// <exception cref="TimeoutException">It takes more than two minutes; it is killed.</exception>
    public Task<CommandResult> RunAsync(params IReadOnlyList<string> arguments) => RunAsync(arguments, CommandLimit);

    /// <summary>Runs a command to its end.</summary>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="limit">How long it may take.</param>
    /// <param name="cancellationToken">Kills it.</param>
    /// <returns>Exit code and output, whatever they are.</returns>
    /// <exception cref="TimeoutException">It takes longer; it is killed.</exception>
    public async Task<CommandResult> RunAsync(IReadOnlyList<string> arguments, TimeSpan limit, CancellationToken cancellationToken = default)
    {
        using var process = Start(arguments);
        return await Commands.RunAsync(process, string.Join(' ', arguments), limit, () => $"silo: {SiloLog}", cancellationToken);
    }

    /// <summary>Starts a command, for tests that do something while it runs. Its output is redirected and must be read; the caller disposes it.</summary>
    public Process Start(IReadOnlyList<string> arguments)
    {
        var start = Commands.Client(arguments);
        start.WorkingDirectory = StorageRoot;
        start.Environment["XDG_CONFIG_HOME"] = Path.Combine(_folder, "config");
        start.Environment["DISTMIGRATE_STATE"] = StateFolder;
        start.Environment["DISTMIGRATE_SILO"] = Commands.SiloProgram;
        start.Environment["DISTMIGRATE_Storage__Roots__0"] = StorageRoot;
        foreach (var (name, value) in Settings)
            start.Environment[name] = value;

        // Ctrl-C works as at a terminal, also where the tests run in the background, whose children ignore it.
        start.ArgumentList.Insert(0, start.FileName);
        start.ArgumentList.Insert(0, "--default-signal=INT");
        start.FileName = "env";
        return Commands.Start(start);
    }

    /// <summary>The silo's <c>silo.json</c>; null when none has written it.</summary>
    public JsonElement? ReadEndpoint()
    {
        var path = Path.Combine(StateFolder, "silo.json");
        return File.Exists(path) ? JsonDocument.Parse(File.ReadAllBytes(path)).RootElement : null;
    }

    /// <summary>The silo's pid.</summary>
    /// <exception cref="InvalidOperationException">No silo runs.</exception>
    public int SiloPid => (ReadEndpoint() ?? throw new InvalidOperationException($"No silo runs. Its log: {SiloLog}")).GetProperty("pid").GetInt32();

    /// <summary>The pids of its silos, those that are just starting included.</summary>
    public IReadOnlyList<int> FindSilos()
    {
        // By command line, not by silo.json: a silo that failed to start wrote none, and the pid of a dead one may be another process's.
        var found = new List<int>();
        foreach (var pid in Directory.EnumerateDirectories("/proc").Select(Path.GetFileName).Where(name => char.IsAsciiDigit(name![0])))
        {
            try
            {
                var words = File.ReadAllText($"/proc/{pid}/cmdline").Split('\0');
                if (words[0] == Commands.SiloProgram && words.Contains(StateFolder))
                    found.Add(int.Parse(pid!, CultureInfo.InvariantCulture));
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // It has ended meanwhile, or is another user's.
            }
        }

        return found;
    }

    /// <summary>Reads a page of the silo's web endpoint, such as <c>/metrics</c>.</summary>
    public async Task<string> GetAsync(string page)
    {
        var endpoint = ReadEndpoint() ?? throw new InvalidOperationException($"No silo runs. Its log: {SiloLog}");
        using var http = new HttpClient { Timeout = Wait.Ordinary };
        return await http.GetStringAsync(new Uri(endpoint.GetProperty("http").GetString() + page));
    }

    /// <summary>Kills the silo as a crash would, and waits until it is gone. The next command starts another one on the same state.</summary>
    public Task KillSiloAsync() => KillSiloAsync(SiloPid);

    /// <summary>Kills one that may be just starting.</summary>
    public static async Task KillSiloAsync(int pid)
    {
        using var process = Process.GetProcessById(pid);
        process.Kill();
        await process.WaitForExitAsync().WaitAsync(Wait.Ordinary);
    }

    /// <inheritdoc/>
    public Task InitializeAsync() => Task.CompletedTask;

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Living.TryRemove(this, out _))
        {
            await Task.Run(EndSilos);
            Directory.Delete(_folder, recursive: true);
        }
    }

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    private void EndSilos()
    {
        foreach (var pid in FindSilos())
        {
            try
            {
                using var process = Process.GetProcessById(pid);
                process.Kill();
                process.WaitForExit(Wait.Ordinary);
            }
            catch (ArgumentException)
            {
                // It has ended meanwhile.
            }
        }
    }
}
