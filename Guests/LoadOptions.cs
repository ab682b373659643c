namespace DistMigrate.Guests;

/// <summary>How a waiting QEMU reads an image.</summary>
/// <param name="MultifdChannels">Threads that read pages, 1 to 255; 0 reads on QEMU's main thread.</param>
/// <param name="DirectIo">Whether those threads read past the page cache; needs <paramref name="MultifdChannels"/> of at least 1.</param>
public sealed record LoadOptions(int MultifdChannels, bool DirectIo);
