using System.Runtime.InteropServices;

namespace DistMigrate.Transfer;

/// <summary>A native buffer aligned for O_DIRECT; outside the garbage collector's heap, so it never moves and costs no collection.</summary>
internal sealed unsafe class AlignedBuffer : IDisposable
{
    /// <summary>Enough for every block device that Linux takes without large-block support.</summary>
    private const int Alignment = 4096;

    private byte* _pointer;
    private readonly int _length;

    public AlignedBuffer(int length)
    {
        _length = length;
        _pointer = (byte*)NativeMemory.AlignedAlloc((nuint)length, Alignment);
    }

    ~AlignedBuffer() => NativeMemory.AlignedFree(_pointer);

    public Span<byte> Span
    {
        get
        {
            ObjectDisposedException.ThrowIf(_pointer == null, this);
            return new Span<byte>(_pointer, _length);
        }
    }

    public void Dispose()
    {
        NativeMemory.AlignedFree(_pointer);
        _pointer = null;
        GC.SuppressFinalize(this);
    }
}
