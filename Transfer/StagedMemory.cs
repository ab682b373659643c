using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// The memory of one RAMBlock as a snapshot has it: what QEMU's stream brought, each page to be read once. Before a snapshot begins, and for
/// a guest that is saved otherwise after all, it is the guest's own memory.
/// </summary>
/// <param name="guest">The guest's memory; owned from now on.</param>
internal sealed class StagedMemory(IGuestMemory guest) : IGuestMemory
{
    /// <summary>The place of a zero page, which needs none.</summary>
    private const int Zero = -1;

    private readonly Lock _gate = new();
    private readonly Dictionary<long, int> _places = [];
    private SnapshotStage? _stage;

    /// <inheritdoc/>
    public GuestMemoryKind Kind => guest.Kind;

    /// <inheritdoc/>
    public bool IsNamedFile => guest.IsNamedFile;

    /// <inheritdoc/>
    public long Length => guest.Length;

    /// <summary>From here on it holds what is put into it, and nothing else; without a stage, the guest's own memory.</summary>
    public void Begin(SnapshotStage? stage)
    {
        lock (_gate)
        {
            foreach (var place in _places.Values)
                Free(place);
            _places.Clear();
            _stage = stage;
        }
    }

    /// <summary>Keeps a page until it is read.</summary>
    /// <param name="page">The page.</param>
    /// <param name="content">4096 bytes; empty for a zero page.</param>
    public void Put(long page, ReadOnlySpan<byte> content)
    {
        lock (_gate)
        {
            Drop(page);
            _places.Add(page, content.IsEmpty ? Zero : Stage.Put(content));
        }
    }

    /// <summary>Nobody is going to read a page.</summary>
    public void Drop(long page)
    {
        lock (_gate)
        {
            if (_places.Remove(page, out var place))
                Free(place);
        }
    }

    /// <inheritdoc/>
    public IReadOnlyList<PageRun> DataRuns() => _stage is null ? guest.DataRuns() : [new PageRun(0, Length / Page.Size)];

    /// <inheritdoc/>
    /// <exception cref="ImageException">Storage: a page is to be written again that was read before; QEMU sends each page of a snapshot once.</exception>
    public void Read(long offset, Span<byte> destination)
    {
        if (_stage is not { } stage)
        {
            guest.Read(offset, destination);
            return;
        }

        for (var done = 0; done < destination.Length; done += Page.Size)
        {
            var page = (offset + done) / Page.Size;
            int place;
            lock (_gate)
            {
                if (_stage != stage || !_places.Remove(page, out place))
                {
                    throw new ImageException(ImageFault.Storage,
                        "The storage lost pages of a snapshot after they were written, and QEMU sends each of them once. When the save goes on it takes a new snapshot; what is durable is kept.");
                }
            }

            var content = destination.Slice(done, Page.Size);
            if (place == Zero)
            {
                content.Clear();
                continue;
            }

            stage.Get(place).CopyTo(content);
            stage.Free(place);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => guest.Dispose();

    private SnapshotStage Stage => _stage ?? throw new InvalidOperationException("No snapshot has begun.");

    private void Free(int place)
    {
        if (place != Zero)
            _stage?.Free(place);
    }
}
