using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using System.Threading.Channels;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>A silo process with synthetic guests. It ends with the belongings that it is one of.</summary>
internal sealed class ControlHost
{
    private readonly Process _process;
    private readonly string _endpointFile;
    private readonly Channel<string> _answers = Channel.CreateUnbounded<string>();

    private ControlHost(string name, Process process, string endpointFile)
    {
        Name = name;
        _process = process;
        _endpointFile = endpointFile;
    }

    public string Name { get; }

    /// <summary>Time that its process had of the processors.</summary>
    public TimeSpan Cpu
    {
        get
        {
            _process.Refresh();
            return _process.TotalProcessorTime;
        }
    }

    /// <summary>Starts it.</summary>
    /// <param name="belongings">Where its process and state folder are written down.</param>
    /// <param name="name">The host's name.</param>
    /// <param name="places">Migrations that it runs at the same time.</param>
    /// <param name="settings">Its settings, by environment variable.</param>
    public static ControlHost Start(Belongings belongings, string name, int places, IReadOnlyDictionary<string, string> settings)
    {
        var state = belongings.MakeFolder(name);
        var start = new ProcessStartInfo(Environment.ProcessPath!, [ControlSilo.Command, state, places.ToString(CultureInfo.InvariantCulture)])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        Product.Forget(start.Environment);
        foreach (var (setting, value) in settings)
            start.Environment[setting] = value;
        start.Environment["DISTMIGRATE_Host"] = name;
        start.Environment["DISTMIGRATE_GuestFolder"] = Path.Combine(state, "guests");
        var process = Process.Start(start)!;
        belongings.AddProcess(process.Id);
        var host = new ControlHost(name, process, Path.Combine(state, "silo.json"));
        process.OutputDataReceived += (_, line) => host.Read(line.Data);
        process.ErrorDataReceived += (_, line) => Console.Error.WriteLine(line.Data);
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return host;
    }

    /// <summary>Waits until it takes clients.</summary>
    /// <returns>Its gateway, its cluster's id, and where its metrics are.</returns>
    public async Task<(string Gateway, string ClusterId, Uri Metrics)> WaitUntilReadyAsync(CancellationToken cancellationToken)
    {
        await Wait.UntilAsync(
            () => _process.HasExited
                ? throw new InvalidOperationException($"The silo of {Name} ended with exit code {_process.ExitCode} while it started.")
                : File.Exists(_endpointFile),
            $"the silo of {Name} is ready",
            cancellationToken: cancellationToken);
        using var endpoint = JsonDocument.Parse(await File.ReadAllBytesAsync(_endpointFile, cancellationToken));
        return (endpoint.RootElement.GetProperty("gateway").GetString()!, endpoint.RootElement.GetProperty("clusterId").GetString()!,
            new Uri(endpoint.RootElement.GetProperty("http").GetString() + "/metrics"));
    }

    /// <summary>Lets it collect its garbage.</summary>
    /// <returns>What is left: bytes that are private to the process, and those that its managed objects take.</returns>
    public async Task<(long Private, long Managed)> MemoryAsync(CancellationToken cancellationToken)
    {
        await _process.StandardInput.WriteLineAsync();
        await _process.StandardInput.FlushAsync(cancellationToken);
        var numbers = (await _answers.Reader.ReadAsync(cancellationToken)).Split(' ');
        return (long.Parse(numbers[1], CultureInfo.InvariantCulture), long.Parse(numbers[2], CultureInfo.InvariantCulture));
    }

    private void Read(string? line)
    {
        if (line is null)
            return;
        if (line.StartsWith(ControlSilo.Answer, StringComparison.Ordinal))
            _answers.Writer.TryWrite(line);
        else if (!line.Contains("info:", StringComparison.Ordinal))
            Console.Error.WriteLine($"{Name}: {line}");
    }
}
