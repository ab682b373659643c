using Orleans.Concurrency;

namespace DistMigrate.Contracts;

/// <summary>Loads an image into a waiting QEMU on its host, by <c>host/migration</c>.</summary>
[Alias("distmigrate.IImageLoaderGrain")]
public interface IImageLoaderGrain : IGrainWithStringKey
{
    /// <summary>Verifies the image, compares its manifest with the waiting QEMU, takes the claim, and loads.</summary>
    [Alias("Load")]
    Task<HostReply> Load(HostCommand command);

    /// <summary>Gives up a load whose guest does not run yet. QEMU stays and may be ended by its owner.</summary>
    [Alias("Abort")]
    Task<HostReply> Abort(HostCommand command);

    /// <summary>The outcome is recorded: forgets the migration. Repeats change nothing.</summary>
    [Alias("Release")]
    Task Release(HostCommand command);

    /// <summary>How far it is. Always answers.</summary>
    [AlwaysInterleave, Alias("GetStatus")]
    Task<HostReply> GetStatus();
}
