using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;
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

    /// <summary>Path of the built command.</summary>
    public static string ClientProgram { get; } = BuiltProgram("DistMigrate.Client", "distmigrate");

    /// <summary>Path of the built silo.</summary>
    public static string SiloProgram { get; } = BuiltProgram("DistMigrate.Silo", "distmigrate-silo");

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
        var output = new StringBuilder();
        var errorOutput = new StringBuilder();
        process.OutputDataReceived += (_, line) => Append(output, line.Data);
        process.ErrorDataReceived += (_, line) => Append(errorOutput, line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        try
        {
            await process.WaitForExitAsync(cancellationToken).WaitAsync(limit, cancellationToken);
        }
        catch (Exception exception) when (exception is TimeoutException or OperationCanceledException)
        {
            process.Kill();
            if (exception is OperationCanceledException)
                throw;
            throw new TimeoutException(
                $"distmigrate {string.Join(' ', arguments)} took longer than {limit.TotalSeconds:0.#} s.\n"
                + $"stdout: {Text(output)}\nstderr: {Text(errorOutput)}\nsilo: {SiloLog}");
        }

        return new CommandResult(string.Join(' ', arguments), process.ExitCode, Text(output), Text(errorOutput));

        static void Append(StringBuilder text, string? line)
        {
            lock (text)
            {
                if (line is not null)
                    text.AppendLine(line);
            }
        }

        static string Text(StringBuilder text)
        {
            lock (text)
                return text.ToString();
        }
    }

    /// <summary>Starts a command, for tests that do something while it runs. Its output is redirected and must be read; the caller disposes it.</summary>
    public Process Start(IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(ClientProgram, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            WorkingDirectory = StorageRoot,
        };

        // A cluster or file of the person who runs the tests is not what they test.
        foreach (var name in start.Environment.Keys.Where(name => name.StartsWith("DISTMIGRATE_", StringComparison.Ordinal)).ToList())
            start.Environment.Remove(name);
        start.Environment["XDG_CONFIG_HOME"] = Path.Combine(_folder, "config");
        start.Environment["DISTMIGRATE_STATE"] = StateFolder;
        start.Environment["DISTMIGRATE_SILO"] = SiloProgram;
        start.Environment["DISTMIGRATE_Storage__Roots__0"] = StorageRoot;
        foreach (var (name, value) in Settings)
            start.Environment[name] = value;
        var process = Process.Start(start) ?? throw new InvalidOperationException($"{ClientProgram} was not started.");
        process.StandardInput.Close();
        return process;
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
                if (words[0] == SiloProgram && words.Contains(StateFolder))
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

    // artifacts/bin/PROJECT/CONFIGURATION/ is where this assembly lies, too.
    private static string BuiltProgram(string project, string program)
    {
        var own = new DirectoryInfo(AppContext.BaseDirectory);
        var path = Path.Combine(own.Parent!.Parent!.FullName, project, own.Name, program);
        return File.Exists(path) ? path : throw new InvalidOperationException($"There is no {path}: build the whole solution in the configuration {own.Name}.");
    }

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
