using System.Globalization;
using System.Text.Json;
using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Bench;

/// <summary>
/// A guest without QEMU: eight or sixteen RAMBlocks of four pages in this process, one of them zero, and no devices. Its monitor path is
/// <c>/KIND/NUMBER</c>: the kind says where a save of it comes to a stand, and the number which guest it is.
/// </summary>
internal sealed class SyntheticGuest : IGuest
{
    /// <summary>A guest whose save runs through.</summary>
    public const string Ordinary = "ordinary";

    /// <summary>A guest that does not answer when it is connected to: its migration keeps its place, and others wait.</summary>
    public const string Silent = "silent";

    /// <summary>A guest that never gives its device state: its save stands there with all pages written.</summary>
    public const string Halting = "halting";

    /// <summary>The same with twice as many RAMBlocks.</summary>
    public const string Wide = "wide";

    public const int RamBlockCount = 8;
    private const int PagesPerBlock = 4;
    private const string Machine = "pc-q35-10.0";

    /// <summary>Above every pid that Linux gives out.</summary>
    private const int FirstPid = 1 << 30;

    private static readonly SyntheticMemory Memory = new(PagesPerBlock * Page.Size, PagesPerBlock, page => page == PagesPerBlock - 1);

    private static readonly RamBlock[] AllBlocks =
    [
        .. Enumerable.Range(0, 2 * RamBlockCount).Select(i => new RamBlock($"ram{i}", Memory.Length, Memory.Length, Page.Size, (ulong)(i + 1) << 20, ReadOnly: false)),
    ];

    private readonly bool _isHalting;
    private readonly RamBlock[] _blocks;
    private bool _isRunning = true;

    private SyntheticGuest(string kind, int number)
    {
        _isHalting = kind is Halting or Wide;
        _blocks = kind == Wide ? AllBlocks : AllBlocks[..RamBlockCount];
        Pid = FirstPid + number;
    }

    public int Pid { get; }

    public long StartTime => 1;

    private GuestRunState State => new(_isRunning, _isRunning ? "running" : "paused");

    /// <summary>The monitor path of a guest.</summary>
    public static string PathOf(string kind, int number) => $"/{kind}/{number}";

    /// <summary>Connects to the guest of a monitor path.</summary>
    public static async Task<IGuest> ConnectAsync(string name, string qmpPath, TimeProvider time, CancellationToken cancellationToken)
    {
        var parts = qmpPath.Split('/');
        if (parts[1] == Silent)
            await Task.Delay(Timeout.Infinite, cancellationToken);
        return new SyntheticGuest(parts[1], int.Parse(parts[2], CultureInfo.InvariantCulture));
    }

    public void ThrowIfEnded()
    {
    }

    public Task<GuestRunState> QueryRunStateAsync(CancellationToken cancellationToken) => Task.FromResult(State);

    public Task<DirtyLog> QueryDirtyLogAsync(IReadOnlyList<RamBlock> ramBlocks, CancellationToken cancellationToken) => Task.FromResult(DirtyLog.Complete);

    public Task<GuestRunState> StopAsync(CancellationToken cancellationToken) => RunAsync(false);

    public Task<GuestRunState> ContAsync(CancellationToken cancellationToken) => RunAsync(true);

    public Task QuitAsync(CancellationToken cancellationToken) => RunAsync(false);

    public Task<IReadOnlyList<RamBlock>> EnsureSavableAsync(CancellationToken cancellationToken) => QueryRamBlocksAsync(cancellationToken);

    public Task<IReadOnlyList<RamBlock>> QueryRamBlocksAsync(CancellationToken cancellationToken) => Task.FromResult<IReadOnlyList<RamBlock>>(_blocks);

    public Task<string> QueryMachineAsync(CancellationToken cancellationToken) => Task.FromResult(Machine);

    public Task<GuestDescription> DescribeAsync(IReadOnlyList<RamBlock> ramBlocks, CancellationToken cancellationToken) =>
        Task.FromResult(new GuestDescription
        {
            QemuVersion = "10.0.0",
            Machine = Machine,
            VcpuCount = 1,
            CpuModel = "synthetic",
            RamBlocks = [.. ramBlocks.Select(block => new RamBlockDescription(block.Name, block.UsedLength, block.MaxLength))],
            Devices = new Dictionary<string, string>(),
            Disks = [],
            Arguments = [],
        });

    public IReadOnlyList<string> ReadArguments() => [];

    public string? ReadWorkingFolder() => null;

    public IGuestMemory OpenMemory(RamBlock block) => Memory;

    public Task<bool> CanLimitDirtyRateAsync(CancellationToken cancellationToken) => Task.FromResult(false);

    public Task<MigrationSettingsSnapshot> ReadMigrationSettingsAsync(StreamLimits limits, CancellationToken cancellationToken) =>
        throw new NotSupportedException("A synthetic guest is saved stopped.");

    public Task<DeviceSections> StreamAsync(IRamStreamSink sink, StreamLimits limits, Action stopped, CancellationToken cancellationToken) =>
        throw new NotSupportedException("A synthetic guest is saved stopped.");

    public Task<MigrationSettingsSnapshot> ReadSnapshotSettingsAsync(CancellationToken cancellationToken) =>
        throw new NotSupportedException("A synthetic guest is saved stopped.");

    public Task<DeviceSections> SnapshotAsync(IRamStreamSink sink, Action stopped, Action continued, CancellationToken cancellationToken) =>
        throw new NotSupportedException("A synthetic guest is saved stopped.");

    public Task<StreamProgress?> QueryStreamAsync(CancellationToken cancellationToken) => Task.FromResult<StreamProgress?>(null);

    public Task SetStreamLimitsAsync(StreamLimits limits, CancellationToken cancellationToken) => Task.CompletedTask;

    public Task<MigrationSettingsSnapshot> ReadMigrationSettingsAsync(CancellationToken cancellationToken) =>
        Task.FromResult(new MigrationSettingsSnapshot(new Dictionary<string, bool>(), new Dictionary<string, JsonElement>()));

    public DeviceStateMethod ChooseDeviceStateMethod(IEnumerable<IGuestMemory> memories) => DeviceStateMethod.IgnoreShared;

    public async Task<DeviceSections> CaptureDeviceStateAsync(DeviceStateMethod method, bool releasesDisks, CancellationToken cancellationToken)
    {
        if (_isHalting)
            await Task.Delay(Timeout.Infinite, cancellationToken);
        return new DeviceSections(default, default);
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private Task<GuestRunState> RunAsync(bool isRunning)
    {
        _isRunning = isRunning;
        return Task.FromResult(State);
    }
}
