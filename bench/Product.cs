using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>The product as shipped: a silo of its own that stays warm, and the command. Disposing ends the silo by its pid.</summary>
internal sealed class Product : IAsyncDisposable
{
    private readonly string _state;
    private readonly Process _silo;

    private Product(string state, Process silo)
    {
        _state = state;
        _silo = silo;
    }

    public int SiloPid => _silo.Id;

    /// <summary>Starts the silo and waits until it takes commands.</summary>
    /// <param name="folder">The only storage root.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public static async Task<Product> StartAsync(string folder, CancellationToken cancellationToken)
    {
        var state = Directory.CreateTempSubdirectory("dm-bench-silo-").FullName;
        var start = new ProcessStartInfo(Program("DistMigrate.Silo", "distmigrate-silo"), ["--state", state])
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Forget(start.Environment);
        start.Environment["DISTMIGRATE_Storage__Roots__0"] = folder;
        start.Environment["DISTMIGRATE_GuestFolder"] = Path.Combine(state, "guests");
        var silo = Process.Start(start)!;
        silo.OutputDataReceived += (_, _) => { };
        silo.ErrorDataReceived += (_, line) => Console.Error.WriteLine(line.Data);
        silo.BeginOutputReadLine();
        silo.BeginErrorReadLine();
        var product = new Product(state, silo);
        try
        {
            await Wait.UntilAsync(
                () => silo.HasExited
                    ? throw new InvalidOperationException($"The silo ended with exit code {silo.ExitCode} while it started.")
                    : File.Exists(Path.Combine(state, "silo.json")),
                "the silo is ready",
                cancellationToken: cancellationToken);
            return product;
        }
        catch
        {
            await product.DisposeAsync();
            throw;
        }
    }

    /// <summary>Saves a guest by the command and waits for it.</summary>
    public async Task<ProductSave> SaveAsync(QemuProcess guest, string image, IReadOnlyList<string> options, CancellationToken cancellationToken)
    {
        var (output, wall) = await RunAsync(["save", "bench", image, "--qmp", guest.QmpSocket, "--output", "json", .. options], cancellationToken);
        using var document = JsonDocument.Parse(output);
        var status = document.RootElement;
        var phase = status.GetProperty("phase").GetString();
        if (phase != "completed")
            throw new InvalidOperationException($"The save ended as {phase}: {output}");
        var started = status.GetProperty("started").GetDateTimeOffset();
        var ended = status.GetProperty("ended").GetDateTimeOffset();
        var ram = status.GetProperty("ram");
        return new ProductSave(
            ended - started,
            started - status.GetProperty("submitted").GetDateTimeOffset(),
            TimeSpan.FromSeconds(status.GetProperty("downtime").GetDouble()),
            wall,
            ram.GetProperty("normal-bytes").GetInt64(),
            ram.GetProperty("transferred").GetInt64());
    }

    /// <summary>Checks an image by the command.</summary>
    /// <exception cref="InvalidOperationException">It is not well-formed.</exception>
    public Task VerifyAsync(string image, CancellationToken cancellationToken) => RunAsync(["verify", image], cancellationToken);

    /// <summary>Ends the QEMU of a guest that the silo launched.</summary>
    public Task EndLaunchedAsync(string guest) => new LaunchedGuest(Path.Combine(_state, "guests", guest), new SelfCheckBoot()).KillAsync();

    /// <summary>A value of /proc/PID/status of the silo, in bytes.</summary>
    public long Memory(string field)
    {
        var line = File.ReadLines($"/proc/{SiloPid}/status").First(line => line.StartsWith(field + ":", StringComparison.Ordinal));
        return long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[^2].Split('\t')[^1], CultureInfo.InvariantCulture) * 1024;
    }

    /// <summary>Lets VmHWM begin anew at the present size (proc(5), clear_refs).</summary>
    public void ResetPeak() => File.WriteAllText($"/proc/{SiloPid}/clear_refs", "5");

    public async ValueTask DisposeAsync()
    {
        if (!_silo.HasExited)
            _silo.Kill();
        await _silo.WaitForExitAsync();
        _silo.Dispose();
        Directory.Delete(_state, recursive: true);
    }

    /// <summary>Programs of the same build: artifacts/bin/PROJECT/CONFIGURATION.</summary>
    private static string Program(string project, string name)
    {
        var own = new DirectoryInfo(AppContext.BaseDirectory);
        var path = Path.Combine(own.Parent!.Parent!.FullName, project, own.Name, name);
        return File.Exists(path) ? path : throw new InvalidOperationException($"There is no {path}: start the benchmarks by bench/run.");
    }

    /// <summary>Runs the command and returns what it printed, and how long it took.</summary>
    /// <exception cref="InvalidOperationException">Its exit code is not 0; the message holds its stderr.</exception>
    public Task<(string Output, TimeSpan Wall)> RunAsync(IReadOnlyList<string> arguments, CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(Program("DistMigrate.Client", "distmigrate"), arguments);
        Forget(start.Environment);
        start.Environment["XDG_CONFIG_HOME"] = _state;
        start.Environment["DISTMIGRATE_STATE"] = _state;
        return Programs.RunAsync(start, cancellationToken);
    }

    /// <summary>Removes our variables: a cluster, file or setting of the person who runs this is not what is measured.</summary>
    internal static void Forget(IDictionary<string, string?> environment)
    {
        foreach (var name in environment.Keys.Where(name => name.StartsWith("DISTMIGRATE_", StringComparison.Ordinal)).ToList())
            environment.Remove(name);
    }
}
