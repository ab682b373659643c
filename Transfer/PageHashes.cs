using System.IO.Hashing;
using System.Runtime.InteropServices;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// XxHash128 of each page of a RAMBlock as it was written, 16 bytes a page (0.4 % of the block). The memory is zeroed by the
/// kernel on first touch, so pages that are never written cost nothing. Zero pages have no entry: their shadow bit is clear.
/// </summary>
internal sealed unsafe class PageHashes(long pageCount) : IDisposable
{
    private UInt128* _hashes = (UInt128*)NativeMemory.AllocZeroed((nuint)pageCount, (nuint)sizeof(UInt128));

    ~PageHashes() => NativeMemory.Free(_hashes);

    public UInt128 this[long page]
    {
        get => _hashes[Checked(page)];
        set => _hashes[Checked(page)] = value;
    }

    /// <summary>One digest over the hashes of the pages whose bit is set, in page order.</summary>
    public UInt128 Digest(PageBitmap present)
    {
        var digest = new XxHash128();
        for (long from = 0; present.TryFindSetRun(from, int.MaxValue / sizeof(UInt128), out var run); from = run.End)
        {
            Checked(run.End - 1);
            digest.Append(new ReadOnlySpan<byte>(_hashes + run.First, (int)run.Count * sizeof(UInt128)));
        }

        return digest.GetCurrentHashAsUInt128();
    }

    public void Dispose()
    {
        NativeMemory.Free(_hashes);
        _hashes = null;
        GC.SuppressFinalize(this);
    }

    private long Checked(long page)
    {
        ObjectDisposedException.ThrowIf(_hashes == null, this);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual((ulong)page, (ulong)pageCount, nameof(page));
        return page;
    }
}
