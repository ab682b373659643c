using System.Diagnostics;
using System.Text;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>One host: its silo's process, and the folder that outlives that.</summary>
/// <param name="name">Its name in the cluster.</param>
/// <param name="folder">The silo's state folder.</param>
/// <param name="settings">What is the same for all hosts.</param>
/// <param name="belongings">Where its processes are written down.</param>
/// <param name="place">Where in a network it stands; null on loopback.</param>
/// <param name="mount">What it sees in the place of a folder of the machine; null for nothing.</param>
internal sealed class ClusterHost(
    string name, string folder, IReadOnlyDictionary<string, string> settings, Belongings belongings, NetworkPlace? place = null, PrivateMount? mount = null)
    : IAsyncDisposable
{
    private static readonly TimeSpan BootLimit = TimeSpan.FromSeconds(120);

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
    public bool IsReady => File.Exists(EndpointFile);

    /// <summary>Whether its silo's process is there.</summary>
    public bool IsRunning => _process is { HasExited: false };

    /// <summary>Whether its silo has ended, and nobody has asked for that.</summary>
    public bool HasEnded => _process is { HasExited: true };

    /// <summary>Where its silo takes clients.</summary>
    public string Gateway => ReadEndpoint("gateway");

    /// <summary>Where its silo shows its metrics, without the scheme.</summary>
    public string MetricsAddress => new Uri(Page).Authority;

    /// <summary>Reads what its silo's web endpoint tells as JSON.</summary>
    public async Task<JsonElement> GetAsync(string path)
    {
        using var client = new HttpClient { Timeout = Wait.Ordinary };
        return JsonDocument.Parse(await client.GetStringAsync(new Uri(Page + path))).RootElement;
    }

    /// <summary>Where its silo shows its page.</summary>
    public string Page => ReadEndpoint("http");

    private string EndpointFile => Path.Combine(folder, "silo.json");

    /// <summary>Another silo of the same host.</summary>
    /// <param name="itsFolder">Its state folder.</param>
    /// <param name="itsMount">What it sees in the place of a folder of the machine.</param>
    public ClusterHost Replacement(string itsFolder, PrivateMount? itsMount = null) => new(Name, itsFolder, settings, belongings, place, itsMount);

    private string ReadEndpoint(string name) => JsonDocument.Parse(File.ReadAllBytes(EndpointFile)).RootElement.GetProperty(name).GetString()!;

    private string GuestFolder => Path.Combine(folder, "guests");

    /// <summary>Starts a guest that checks its memory, which the host knows by its name.</summary>
    public async Task<QemuProcess> StartGuestAsync(
        string name, MemoryKind memory = MemoryKind.SharedFile, int mib = 24, SelfCheckBoot? boot = null, bool kvm = false)
    {
        Directory.CreateDirectory(GuestFolder);
        var guest = await QemuProcess.StartAsync(new GuestRecipe
        {
            Boot = boot ?? new SelfCheckBoot(),
            MiB = mib,
            Memory = memory,
            Kvm = kvm,
            ExtraArguments = ["-qmp", $"unix:{Path.Combine(GuestFolder, name + ".qmp")},server=on,wait=off"],
        });
        await guest.WaitUntilReadyAsync(BootLimit);
        return guest;
    }

    /// <summary>The guest of a name that its silo launches, or has launched.</summary>
    public LaunchedGuest Launched(string name) => new(Path.Combine(GuestFolder, name), new SelfCheckBoot());

    /// <summary>Starts its silo; it is ready some time later.</summary>
    public void Start()
    {
        var start = Commands.Silo(["--state", folder]);
        start.Environment["DISTMIGRATE_Host"] = Name;
        start.Environment["DISTMIGRATE_GuestFolder"] = GuestFolder;
        foreach (var (setting, value) in settings)
            start.Environment[setting] = value;
        if (place is not null)
            start.Environment["DISTMIGRATE_Address"] = place.Address;

        // The paths of networks are those of the machine, so that one comes first.
        mount?.Take(start);
        place?.Take(start);
        _process = Commands.Start(start);
        belongings.AddProcess(_process.Id);
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
        await WaitForEndAsync();
    }

    /// <summary>Ends its silo as an operator would.</summary>
    public async Task TerminateAsync()
    {
        Signals.Send(_process!.Id, Signal.Terminate);
        await WaitForEndAsync();
    }

    /// <summary>SIGSTOP: its silo hangs.</summary>
    public void Stall() => Signals.Send(_process!.Id, Signal.Stop);

    /// <summary>SIGCONT: its silo goes on.</summary>
    public void Resume() => Signals.Send(_process!.Id, Signal.Continue);

    /// <summary>Waits until its silo has ended.</summary>
    /// <returns>Its exit code.</returns>
    public async Task<int> WaitForEndAsync()
    {
        try
        {
            await _process!.WaitForExitAsync().WaitAsync(Wait.Ordinary);
        }
        catch (TimeoutException)
        {
            throw new TimeoutException($"The silo of {Name} has not ended: {Log}");
        }

        var code = _process.ExitCode;
        _process.Dispose();
        _process = null;

        // One that was killed has left it.
        File.Delete(EndpointFile);
        return code;
    }

    public async ValueTask DisposeAsync()
    {
        if (_process is not null)
            await KillAsync();
        if (!Directory.Exists(GuestFolder))
            return;

        // Launched guests outlive their silos.
        foreach (var launched in Directory.GetDirectories(GuestFolder).Select(guest => Launched(Path.GetFileName(guest))).Where(guest => guest.IsAlive))
            await launched.KillAsync();
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
