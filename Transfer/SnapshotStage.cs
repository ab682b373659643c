using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>Room for pages of a snapshot between QEMU's stream and the file. Bounded; taken from the collector's heap as it is needed, so
/// that a writer which comes late reads no memory that is gone. Thread-safe.</summary>
internal sealed class SnapshotStage
{
    /// <summary>Pages that it holds at most. While it is full QEMU waits, and with it each guest CPU that writes to a page which was not sent yet.</summary>
    public const int Capacity = 16 * 1024;

    private const int ChunkPages = 256;

    private readonly Lock _gate = new();
    private readonly byte[]?[] _chunks = new byte[Capacity / ChunkPages][];
    private readonly int[] _free = new int[Capacity];
    private int _freeCount = Capacity;

    public SnapshotStage()
    {
        // The lowest are used first, again and again.
        for (var i = 0; i < Capacity; i++)
            _free[i] = Capacity - 1 - i;
    }

    /// <summary>Keeps a page.</summary>
    /// <returns>Its place.</returns>
    /// <exception cref="InvalidOperationException">It is full.</exception>
    public int Put(ReadOnlySpan<byte> page)
    {
        int place;
        lock (_gate)
        {
            if (_freeCount == 0)
                throw new InvalidOperationException($"The stage holds {Capacity} pages already.");
            place = _free[--_freeCount];
            _chunks[place / ChunkPages] ??= GC.AllocateUninitializedArray<byte>(ChunkPages * Page.Size);
        }

        page.CopyTo(At(place));
        return place;
    }

    /// <summary>The page of a place that is not free.</summary>
    public ReadOnlySpan<byte> Get(int place) => At(place);

    /// <summary>Frees a place.</summary>
    public void Free(int place)
    {
        lock (_gate)
            _free[_freeCount++] = place;
    }

    private Span<byte> At(int place) => _chunks[place / ChunkPages].AsSpan(place % ChunkPages * Page.Size, Page.Size);
}
