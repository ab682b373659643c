namespace DistMigrate.Transfer;

/// <summary>One load of an image, as its loader needs it.</summary>
/// <param name="Migration">The migration's id.</param>
/// <param name="Host">This host's configured name.</param>
/// <param name="Guest">The guest's name.</param>
/// <param name="QmpPath">The waiting QEMU's monitor socket; null when one is to be launched.</param>
/// <param name="ImagePath">The image, resolved below a storage root.</param>
/// <param name="Channels">QEMU's multifd channels; 0 loads without multifd.</param>
/// <param name="DirectIo">Whether those read past the page cache.</param>
/// <param name="IgnoreClaim">Run the guest although another holds the claim.</param>
/// <param name="Paused">Leave the guest paused after the load.</param>
/// <param name="IgnoreMismatch">Report differences between manifest and target instead of refusing.</param>
/// <param name="IsMove">Whether it is the second half of a move: what is loaded is proven, and a QEMU that does not run the guest is ended.</param>
/// <param name="Launch">How a QEMU is launched here.</param>
/// <param name="IsLazy">Whether the large RAMBlocks are mappings of the image, from which the guest then runs.</param>
/// <param name="Prefetches">Whether such an image is read into the page cache once the guest runs.</param>
public sealed record LoadPlan(
    string Migration, string Host, string Guest, string? QmpPath, string ImagePath, int Channels, bool DirectIo, bool IgnoreClaim, bool Paused,
    bool IgnoreMismatch, bool IsMove, LaunchPlace Launch, bool IsLazy = false, bool Prefetches = false);
