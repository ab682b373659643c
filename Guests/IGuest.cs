using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>Connects to a guest's monitor and finds its process, as <see cref="QemuGuest.ConnectAsync"/> does.</summary>
/// <param name="name">The name that the operator knows it by.</param>
/// <param name="qmpPath">Its QMP socket.</param>
/// <param name="time">The clock.</param>
/// <param name="cancellationToken">Ends the wait.</param>
/// <exception cref="GuestException">It cannot be reached.</exception>
public delegate Task<IGuest> GuestConnector(string name, string qmpPath, TimeProvider time, CancellationToken cancellationToken);

/// <summary>What a save asks of its guest. In the product it is always a <see cref="QemuGuest"/>; whoever measures the control plane alone brings another.</summary>
public interface IGuest : IAsyncDisposable
{
    /// <inheritdoc cref="QemuGuest.Pid"/>
    int Pid { get; }

    /// <inheritdoc cref="QemuGuest.StartTime"/>
    long StartTime { get; }

    /// <inheritdoc cref="QmpClient.ThrowIfEnded"/>
    void ThrowIfEnded();

    /// <inheritdoc cref="QemuGuest.QueryRunStateAsync"/>
    Task<GuestRunState> QueryRunStateAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.QueryDirtyLogAsync"/>
    Task<DirtyLog> QueryDirtyLogAsync(IReadOnlyList<RamBlock> ramBlocks, CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.StopAsync"/>
    Task<GuestRunState> StopAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.ContAsync"/>
    Task<GuestRunState> ContAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.QuitAsync"/>
    Task QuitAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.EnsureSavableAsync"/>
    Task<IReadOnlyList<RamBlock>> EnsureSavableAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.QueryRamBlocksAsync"/>
    Task<IReadOnlyList<RamBlock>> QueryRamBlocksAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.QueryMachineAsync"/>
    Task<string> QueryMachineAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.DescribeAsync(IReadOnlyList{RamBlock}, CancellationToken)"/>
    Task<GuestDescription> DescribeAsync(IReadOnlyList<RamBlock> ramBlocks, CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.ReadArguments"/>
    IReadOnlyList<string> ReadArguments();

    /// <inheritdoc cref="QemuGuest.ReadWorkingFolder"/>
    string? ReadWorkingFolder();

    /// <inheritdoc cref="QemuGuest.OpenMemory"/>
    IGuestMemory OpenMemory(RamBlock block);

    /// <inheritdoc cref="QemuGuest.ReadMigrationSettingsAsync(CancellationToken)"/>
    Task<MigrationSettingsSnapshot> ReadMigrationSettingsAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.ChooseDeviceStateMethod"/>
    DeviceStateMethod ChooseDeviceStateMethod(IEnumerable<IGuestMemory> memories);

    /// <inheritdoc cref="QemuGuest.CaptureDeviceStateAsync"/>
    Task<DeviceSections> CaptureDeviceStateAsync(DeviceStateMethod method, bool releasesDisks, CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.CanLimitDirtyRateAsync"/>
    Task<bool> CanLimitDirtyRateAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.ReadMigrationSettingsAsync(StreamLimits, CancellationToken)"/>
    Task<MigrationSettingsSnapshot> ReadMigrationSettingsAsync(StreamLimits limits, CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.StreamAsync"/>
    Task<DeviceSections> StreamAsync(IRamStreamSink sink, StreamLimits limits, Action stopped, CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.ReadSnapshotSettingsAsync"/>
    Task<MigrationSettingsSnapshot> ReadSnapshotSettingsAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.SnapshotAsync"/>
    Task<DeviceSections> SnapshotAsync(IRamStreamSink sink, Action stopped, Action continued, CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.QueryStreamAsync"/>
    Task<StreamProgress?> QueryStreamAsync(CancellationToken cancellationToken);

    /// <inheritdoc cref="QemuGuest.SetStreamLimitsAsync"/>
    Task SetStreamLimitsAsync(StreamLimits limits, CancellationToken cancellationToken);
}
