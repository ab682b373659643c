using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using DistMigrate.Client.Qmp;

namespace DistMigrate.Client.Demo;

/// <summary>A stock QEMU with the demo's guest.</summary>
internal sealed class DemoGuest : IAsyncDisposable
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan RoundLimit = TimeSpan.FromSeconds(60);

    private readonly string _name;
    private readonly Process _process;
    private readonly string _serialPath;
    private readonly TimeProvider _time;
    private readonly Task<string> _messages;
    private QmpMonitor? _monitor;

    private DemoGuest(string name, Process process, string serialPath, string qmpPath, TimeProvider time)
    {
        _name = name;
        _process = process;
        _serialPath = serialPath;
        _time = time;
        QmpPath = qmpPath;
        _messages = process.StandardError.ReadToEndAsync();
    }

    public int Pid => _process.Id;

    /// <summary>The monitor socket for the silo.</summary>
    public string QmpPath { get; }

    /// <summary>The demo's own monitor.</summary>
    public QmpMonitor Monitor => _monitor ?? throw new InvalidOperationException("The guest was not started.");

    /// <summary>
    /// Starts QEMU and connects to its monitor. Its files are named <paramref name="name"/>; it boots <paramref name="disk"/>, or
    /// waits for an image when <paramref name="waits"/> says so.
    /// </summary>
    /// <exception cref="CommandException">It did not come up.</exception>
    public static async Task<DemoGuest> StartAsync(
        DemoPrograms programs, string folder, string name, string disk, long memory, bool waits, TimeProvider time, CancellationToken cancellation)
    {
        var qmp = Path.Combine(folder, name + ".qmp");
        var ownQmp = Path.Combine(folder, name + ".demo.qmp");
        var serial = Path.Combine(folder, name + ".serial");
        var megabytes = (memory >> 20).ToString(CultureInfo.InvariantCulture);
        var start = new ProcessStartInfo(programs.Qemu)
        {
            ArgumentList =
            {
                "-nodefaults", "-no-user-config", "-display", "none", "-name", name,
                "-machine", "q35,memory-backend=pc.ram", "-accel", "tcg", "-m", megabytes,
                "-object", $"memory-backend-file,id=pc.ram,size={megabytes}M,mem-path={Escape(Path.Combine(folder, name + ".ram"))},share=on",
                // A floppy, because the firmware leaves other disks with queues in memory that the guest overwrites.
                "-drive", $"if=none,id=boot,format=raw,readonly=on,file={Escape(disk)}",
                "-device", "isa-fdc,id=fdc", "-device", "floppy,bus=fdc.0,drive=boot",
                "-serial", "file:" + Escape(serial),
                "-qmp", $"unix:{Escape(qmp)},server=on,wait=off",
                "-qmp", $"unix:{Escape(ownQmp)},server=on,wait=off",
            },
            RedirectStandardError = true,
            WorkingDirectory = folder,
        };
        if (waits)
        {
            start.ArgumentList.Add("-incoming");
            start.ArgumentList.Add("defer");
        }
        var process = Process.Start(start)
            ?? throw new CommandException(ExitCode.Failed, $"{programs.Qemu} could not be started.");
        var guest = new DemoGuest(name, process, serial, qmp, time);
        try
        {
            await guest.WaitAsync(
                "opens its monitor", StartLimit, async () => guest._monitor = await TryConnectAsync(ownQmp, cancellation), cancellation);
            return guest;
        }
        catch
        {
            await guest.DisposeAsync();
            throw;
        }
    }

    /// <summary>Waits until the guest has printed so many rounds since it was started here, and no BAD.</summary>
    /// <exception cref="CommandException">It printed BAD, ended, or was too slow.</exception>
    public Task WaitForRoundsAsync(int rounds, CancellationToken cancellation) => WaitAsync(
        $"completes {rounds} rounds",
        RoundLimit,
        () =>
        {
            var text = Serial();
            if (text.Contains("BAD", StringComparison.Ordinal))
                throw new CommandException(
                    ExitCode.Failed, $"the {_name} guest found a wrong page in its memory: {text[text.IndexOf("BAD", StringComparison.Ordinal)..].Split('\n')[0]}");
            return Task.FromResult<object?>(text.Count(c => c == '.') >= rounds ? text : null);
        },
        cancellation);

    /// <summary>Whether it began from the start instead of where it was saved.</summary>
    public bool HasBooted => Serial().Contains("START", StringComparison.Ordinal);

    public async ValueTask DisposeAsync()
    {
        if (_monitor is not null)
            await _monitor.DisposeAsync();
        if (!_process.HasExited)
            _process.Kill();
        await _process.WaitForExitAsync(CancellationToken.None);
        _process.Dispose();
    }

    private async Task WaitAsync(string what, TimeSpan limit, Func<Task<object?>> isDone, CancellationToken cancellation)
    {
        var started = _time.GetTimestamp();
        while (await isDone() is null)
        {
            if (_process.HasExited)
                throw new CommandException(
                    ExitCode.Failed, $"QEMU of the {_name} guest ended with exit code {_process.ExitCode}: {(await _messages).Trim()}");
            if (_time.GetElapsedTime(started) > limit)
                throw new CommandException(
                    ExitCode.Failed, $"within {limit.TotalSeconds:0} s the {_name} guest did not come to the point where it {what}.",
                    "try again when the machine is less busy");
            await Task.Delay(Poll, _time, cancellation);
        }
    }

    private static async Task<QmpMonitor?> TryConnectAsync(string path, CancellationToken cancellation)
    {
        try
        {
            return await QmpMonitor.ConnectAsync(path, cancellation);
        }
        catch (SocketException)
        {
            // QEMU has not made the socket yet.
            return null;
        }
    }

    /// <summary>A value inside a comma-separated option: QEMU reads two commas as one.</summary>
    private static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    private string Serial()
    {
        if (!File.Exists(_serialPath))
            return "";
        using var stream = new FileStream(_serialPath, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var reader = new StreamReader(stream);
        return reader.ReadToEnd();
    }
}
