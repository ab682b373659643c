using System.Diagnostics;
using System.Text;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>One host: its silo's process, and the folder that outlives that.</summary>
internal sealed class ClusterHost(string name, string folder, IReadOnlyDictionary<string, string> settings) : IAsyncDisposable
{
    private readonly StringBuilder _log = new();
    private Process? _process;

    public string Name { get; } = name;

    /// <summary>What its silos logged so far.</summary>
    public string Log
    {
        get
        {
            lock (_log)
                return _log.ToString();
        }
    }

    /// <summary>Whether its silo has told that it is ready.</summary>
    public bool IsReady => File.Exists(Path.Combine(folder, "silo.json"));

    /// <summary>Where its silo takes clients.</summary>
    public string Gateway =>
        JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "silo.json"))).RootElement.GetProperty("gateway").GetString()!;

    /// <summary>Starts its silo; it is ready some time later.</summary>
    public void Start()
    {
        var start = Commands.Silo(["--state", folder]);
        start.Environment["DISTMIGRATE_Host"] = Name;
        foreach (var (setting, value) in settings)
            start.Environment[setting] = value;
        _process = Commands.Start(start);
        _process.OutputDataReceived += Append;
        _process.ErrorDataReceived += Append;
        _process.BeginOutputReadLine();
        _process.BeginErrorReadLine();
    }

    public Task WaitUntilReadyAsync() => Wait.UntilAsync(
        () => IsReady || (_process!.HasExited ? throw new InvalidOperationException($"The silo of {Name} ended: {Log}") : false), $"{Name} is ready", details: () => Log);

    /// <summary>Kills its silo as a crash would.</summary>
    public async Task KillAsync()
    {
        _process!.Kill();
        await _process.WaitForExitAsync().WaitAsync(Wait.Ordinary);
        _process.Dispose();
        _process = null;
        File.Delete(Path.Combine(folder, "silo.json"));
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
            await KillAsync();
    }

    private void Append(object sender, DataReceivedEventArgs line)
    {
        lock (_log)
        {
            if (line.Data is not null)
                _log.AppendLine(line.Data);
        }
    }
}
