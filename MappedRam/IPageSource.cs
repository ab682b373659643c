namespace DistMigrate.MappedRam;

/// <summary>Where pages are read that are compared with the checksums of an image. Called by several threads at a time.</summary>
public interface IPageSource
{
    /// <summary>Fills the buffer with pages, or tells that they need not be read.</summary>
    /// <param name="block">The RAMBlock's index in the image.</param>
    /// <param name="run">The pages; not empty, within the RAMBlock.</param>
    /// <param name="buffer">As long as the run, its memory aligned to a page.</param>
    /// <returns>False when all of them lie in a hole and so are zero; the buffer then holds anything.</returns>
    /// <exception cref="IOException">The storage failed.</exception>
    bool TryRead(int block, PageRun run, Span<byte> buffer);
}
