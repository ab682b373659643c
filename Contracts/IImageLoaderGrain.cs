using Orleans.Concurrency;

namespace DistMigrate.Contracts;

/// <summary>
/// Loads an image into a QEMU on its host, by <c>host/migration</c>: one that waits there, or one that it launches. Commands are
/// idempotent and bear the coordinator's token.
/// </summary>
[Alias("distmigrate.IImageLoaderGrain")]
public interface IImageLoaderGrain : IGrainWithStringKey
{
    /// <summary>Finds out whether the guest can run here, and has a QEMU wait for it: everything that may fail before the guest is stopped.</summary>
    [Alias("Prepare")]
    Task<HostReply> Prepare(HostCommand command);

    /// <summary>For a move: begins to fill the waiting QEMU from what is durable of the image, while the guest runs at its source.</summary>
    [Alias("Preload")]
    Task<HostReply> Preload(HostCommand command);

    /// <summary>Verifies the image, compares it with the waiting QEMU, and loads it; of a move, proves that the loaded memory is the
    /// guest's. The guest stays stopped.</summary>
    [Alias("Load")]
    Task<HostReply> Load(HostCommand command);

    /// <summary>Takes the claim and lets the guest run, unless it is to stay paused. Fails with <see cref="FailureReason.ClaimHeld"/>
    /// when another holds the claim, or when the guest may have run here and has ended.</summary>
    [Alias("Run")]
    Task<HostReply> Run(HostCommand command);

    /// <summary>Gives up a load whose guest has not run. The QEMU of a move is ended, and a claim released; that of a restore stays
    /// unless it was launched. Fails with <see cref="FailureReason.ClaimHeld"/> when the guest may have run here.</summary>
    [Alias("Abort")]
    Task<HostReply> Abort(HostCommand command);

    /// <summary>The outcome is recorded: forgets the migration. Repeats change nothing.</summary>
    [Alias("Release")]
    Task Release(HostCommand command);

    /// <summary>How far it is. Always answers.</summary>
    [AlwaysInterleave, Alias("GetStatus")]
    Task<HostReply> GetStatus();
}
