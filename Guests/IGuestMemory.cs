using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>One RAMBlock's memory, read from outside QEMU.</summary>
public interface IGuestMemory : IDisposable
{
    /// <summary>How QEMU maps it.</summary>
    GuestMemoryKind Kind { get; }

    /// <summary>Whether QEMU counts it as RAM_NAMED_FILE and shared, so that <c>x-ignore-shared</c> leaves it out of a stream.</summary>
    bool IsNamedFile { get; }

    /// <summary>Bytes that can be read, the RAMBlock's used_length.</summary>
    long Length { get; }

    /// <summary>
    /// The runs of pages that may hold something else than zeros, ascending, apart from each other, within <see cref="Length"/>.
    /// All other pages read as zero now; reading them by other means could make QEMU's host allocate them. Each call looks anew.
    /// </summary>
    /// <exception cref="GuestException">MemoryUnreadable, or Exited.</exception>
    IReadOnlyList<PageRun> DataRuns();

    /// <summary>Fills the whole buffer from a byte offset in the RAMBlock. May be called from several threads at once.</summary>
    /// <exception cref="GuestException">MemoryUnreadable, or Exited.</exception>
    void Read(long offset, Span<byte> destination);
}
