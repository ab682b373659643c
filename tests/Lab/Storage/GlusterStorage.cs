using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace DistMigrate.Tests.Lab.Storage;

/// <summary>
/// A GlusterFS of one brick, whose server and FUSE client talk over a veth pair between two network namespaces of their own. Processes
/// of the ordinary namespace write to its mount; whatever becomes of brick and link touches nothing else. The brick lies on a small ext4.
/// A client gives a silent server up after <see cref="PingTimeout"/>. Disposing ends its processes by pid and undoes the rest by name.
/// </summary>
public sealed class GlusterStorage : IAsyncDisposable
{
    private const string Server = "10.99.9.1";
    private const string Client = "10.99.9.2";
    private const string Volume = "v";
    private const string Link = "veth0";

    /// <summary>After this time without an answer a client fails what it waits for with ENOTCONN; up to twice as long passes until it does.</summary>
    public static readonly TimeSpan PingTimeout = TimeSpan.FromSeconds(5);

    private static readonly string[] Programs = ["glusterd", "gluster", "glusterfs", "ip", "nsenter"];

    private readonly Belongings _belongings;
    private readonly List<Process> _processes = [];
    private readonly StringBuilder _messages = new();
    private readonly LoopDisk _disk;
    private readonly string _serverNetwork;
    private readonly string _clientNetwork;
    private ProcessIdentity _brick;
    private int _clients;

    private GlusterStorage(Belongings belongings, LoopDisk disk, string serverNetwork, string clientNetwork)
    {
        _belongings = belongings;
        _disk = disk;
        _serverNetwork = serverNetwork;
        _clientNetwork = clientNetwork;
    }

    /// <summary>What this machine lacks for it, in one sentence; null when everything is there.</summary>
    public static string? Missing =>
        LoopDisk.Missing is { } missing ? missing
        : !File.Exists("/dev/fuse") ? "There is no /dev/fuse: load the kernel module fuse."
        : Array.Find(Programs, name => StorageProgram.Find(name) is null) is { } program
            ? $"{program} is not installed: run eng/require faults."
        : null;

    /// <summary>The mount of the first client: where the silo writes.</summary>
    public string Path { get; private set; } = "";

    /// <summary>What the programs said so far, for the message of a failure.</summary>
    public string Messages
    {
        get
        {
            lock (_messages)
            {
                return _messages.ToString();
            }
        }
    }

    /// <summary>Starts server and client, and returns once files can be written.</summary>
    /// <param name="brickMiB">Size of the brick's ext4, in MiB.</param>
    /// <exception cref="InvalidOperationException">The machine cannot; the message says why.</exception>
    public static async Task<GlusterStorage> StartAsync(int brickMiB = 512)
    {
        if (Missing is { } missing)
        {
            throw new InvalidOperationException(missing);
        }

        var belongings = Belongings.Create();
        GlusterStorage? storage = null;
        try
        {
            var name = System.IO.Path.GetFileName(belongings.Folder);
            storage = new GlusterStorage(
                belongings,
                await LoopDisk.MakeAsync(belongings, "brick", brickMiB),
                await belongings.MakeNamespaceAsync(name + "-server"),
                await belongings.MakeNamespaceAsync(name + "-client"));
            await ConnectAsync(name);
            await storage.StartServerAsync();
            storage.Path = await storage.MountAsync();
            return storage;
        }
        catch
        {
            belongings.Dispose();
            storage?.Release();
            throw;
        }
    }

    /// <summary>The version of GlusterFS, such as <c>glusterfs 10.3</c>.</summary>
    public static async Task<string> VersionAsync() => (await StorageProgram.RunAsync("glusterfs", "--version")).Split('\n')[0].Trim();

    /// <summary>A path below <see cref="Path"/>.</summary>
    public string At(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Mounts the volume once more, by a client of its own: the files as another host has them, up to a second late.</summary>
    /// <returns>The path of the mount.</returns>
    public async Task<string> MountAsync()
    {
        var name = string.Create(CultureInfo.InvariantCulture, $"client{++_clients}");
        var path = _belongings.MakeFolder(name);
        _belongings.AddMount(path);
        Serve(
            _clientNetwork, "glusterfs", "--no-daemon", $"--volfile-server={Server}", $"--volfile-id={Volume}", $"--log-file={Log(name)}", path);
        await WaitUntilWritableAsync(path);
        return path;
    }

    /// <summary>Kills the brick, as a crash would: the client notices at once, and everything fails with ENOTCONN.</summary>
    public void KillBrick() => _brick.Kill();

    /// <summary>Starts the brick again after <see cref="KillBrick"/>, and returns once files can be written.</summary>
    public async Task RestartBrickAsync()
    {
        // glusterd starts nothing before it has noticed that the brick is gone, and does not say so.
        var killed = _brick;
        await Wait.UntilAsync(
            async () =>
            {
                await CommandAsync("volume", "start", Volume, "force");
                return ReadBrick() is { } brick && brick != killed;
            },
            "the brick runs again",
            details: () => Messages);
        TakeBrick();
        await WaitUntilWritableAsync();
    }

    /// <summary>SIGSTOP for the brick: everything waits, and after <see cref="PingTimeout"/> it fails with ENOTCONN.</summary>
    public void StopBrick() => StorageProgram.Stall(_brick);

    /// <summary>SIGCONT for the brick. The client takes some seconds to connect again, see <see cref="WaitUntilWritableAsync()"/>.</summary>
    public void ContinueBrick() => StorageProgram.Resume(_brick);

    /// <summary>Takes the link between client and server down: as with <see cref="StopBrick"/>.</summary>
    public void LinkDown() => SetLink("down");

    /// <summary>Takes the link up again. The client takes some seconds to connect again, see <see cref="WaitUntilWritableAsync()"/>.</summary>
    public void LinkUp() => SetLink("up");

    /// <summary>Takes the brick's free space: writes fail with ENOSPC, or are short, or fsync fails with it.</summary>
    /// <param name="leaveMiB">How much of it stays free, in MiB.</param>
    public void FillBrick(int leaveMiB = 0) => _disk.Fill(leaveMiB);

    /// <summary>Gives back what <see cref="FillBrick"/> took.</summary>
    public void FreeBrick() => _disk.Free();

    /// <summary>
    /// Lets the client fail calls by chance, from the return of this on, with any error that the call may have: a write with EINVAL, EBADF,
    /// EFAULT, EISDIR, ENAMETOOLONG or ENOSPC, or it is short. GlusterFS 10 takes an option for a certain error and does not heed it.
    /// </summary>
    /// <param name="calls">Gluster's names of the calls, separated by commas, such as <c>write</c>, <c>fsync</c>, <c>open</c>.</param>
    /// <param name="percent">How many of them, of 100. Several requests of the client make one large write.</param>
    public async Task InjectErrorsAsync(string calls = "write", int percent = 20)
    {
        await SetAsync("debug.error-failure", percent.ToString(CultureInfo.InvariantCulture));
        await SetAsync("debug.error-fops", calls);
        await SetAsync("debug.error-gen", "client");
        await Wait.UntilAsync(() => InjectsErrors, "the client makes errors", details: () => Messages);
    }

    /// <summary>Ends <see cref="InjectErrorsAsync"/>, and returns once no further call fails.</summary>
    public async Task EndErrorsAsync()
    {
        foreach (var option in new[] { "gen", "fops", "failure" })
        {
            await CommandAsync("volume", "reset", Volume, $"debug.error-{option}");
        }

        await Wait.UntilAsync(() => !InjectsErrors, "the client makes no more errors", details: () => Messages);
        await WaitUntilWritableAsync();
    }

    /// <summary>Sets an option of the volume, such as <c>performance.write-behind</c> to <c>off</c>.</summary>
    public Task SetAsync(string option, string value) => CommandAsync("volume", "set", Volume, option, value);

    /// <summary>Waits until a small file can be written.</summary>
    public Task WaitUntilWritableAsync() => WaitUntilWritableAsync(Path);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Task.Run(_belongings.Dispose);
        Release();
    }

    // The client's present graph of translators, as its own virtual folder shows it.
    private bool InjectsErrors => Directory.Exists(At($".meta/graphs/active/{Volume}-error-gen"));

    private string BrickFolder => _disk.At("files");

    private string BrickPidFile =>
        System.IO.Path.Combine(_belongings.At("run"), "vols", Volume, $"{Server}{BrickFolder.Replace('/', '-')}.pid");

    private static async Task ConnectAsync(string name)
    {
        var (server, client) = (name + "-server", name + "-client");
        await StorageProgram.RunAsync("ip", "link", "add", Link, "netns", server, "type", "veth", "peer", "name", Link, "netns", client);
        foreach (var (network, address) in new[] { (server, Server), (client, Client) })
        {
            await StorageProgram.RunAsync("ip", "-n", network, "addr", "add", $"{address}/24", "dev", Link);
            await StorageProgram.RunAsync("ip", "-n", network, "link", "set", "lo", "up");
            await StorageProgram.RunAsync("ip", "-n", network, "link", "set", Link, "up");
        }
    }

    private async Task StartServerAsync()
    {
        var settings = _belongings.At("glusterd.vol");
        await File.WriteAllTextAsync(
            settings,
            $"""
            volume management
                type mgmt/glusterd
                option working-directory {_belongings.MakeFolder("work")}
                option run-directory {_belongings.MakeFolder("run")}
                option logging-directory {_belongings.MakeFolder("log")}
                option glusterd-sockfile {CommandSocket}
                option transport-type socket
                option transport.socket.bind-address {Server}
                option transport.socket.listen-port 24007
                option base-port 49152
                option max-port 49999
            end-volume

            """);
        Serve(_serverNetwork, "glusterd", "--no-daemon", $"--volfile={settings}", $"--log-file={Log("glusterd")}");
        await Wait.UntilAsync(() => File.Exists(CommandSocket), "glusterd takes commands", details: () => Messages);
        Directory.CreateDirectory(BrickFolder);
        await CommandAsync("volume", "create", Volume, $"{Server}:{BrickFolder}", "force");
        await SetAsync("network.ping-timeout", PingTimeout.TotalSeconds.ToString(CultureInfo.InvariantCulture));

        // Else the brick refuses writes from a look at its free space every few seconds, and a repair takes as long to be seen.
        await SetAsync("storage.reserve", "0");
        await CommandAsync("volume", "start", Volume);
        await Wait.UntilAsync(() => ReadBrick() is not null, "the brick runs", details: () => Messages);
        TakeBrick();
    }

    private string CommandSocket => _belongings.At("socket");

    private string Log(string name) => _belongings.At($"{name}.log");

    private void TakeBrick()
    {
        _brick = _belongings.AddProcess(ReadBrick()!.Value.Pid);

        // It makes its socket in the folder of the machine's own bricks.
        var words = File.ReadAllText(string.Create(CultureInfo.InvariantCulture, $"/proc/{_brick.Pid}/cmdline")).Split('\0');
        _belongings.AddFile(words[Array.IndexOf(words, "-S") + 1]);
    }

    private ProcessIdentity? ReadBrick() =>
        File.Exists(BrickPidFile) && int.TryParse(File.ReadAllText(BrickPidFile), CultureInfo.InvariantCulture, out var pid)
            ? ProcessIdentity.Of(pid)
            : null;

    private void SetLink(string state) =>
        StorageProgram.Run("ip", "-n", System.IO.Path.GetFileName(_serverNetwork), "link", "set", Link, state);

    private Task<string> CommandAsync(params string[] words) => StorageProgram.RunAsync(
        "nsenter", [$"--net={_serverNetwork}", "gluster", $"--glusterd-sock={CommandSocket}", $"--log-file={Log("cli")}", "--mode=script", .. words]);

    private void Serve(string network, string program, params string[] arguments)
    {
        var process = StorageProgram.Serve(_messages, "nsenter", [$"--net={network}", program, .. arguments]);
        _processes.Add(process);
        _belongings.AddProcess(process.Id);
    }

    private Task WaitUntilWritableAsync(string folder) => MountProbe.WaitAsync(folder, "fuse.glusterfs", () => Messages);

    private void Release()
    {
        foreach (var process in _processes)
        {
            process.Dispose();
        }
    }
}
