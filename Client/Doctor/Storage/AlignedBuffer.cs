using System.Runtime.InteropServices;
using DistMigrate.MappedRam;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Memory that O_DIRECT takes: outside the managed heap, and aligned to a page.</summary>
internal sealed unsafe class AlignedBuffer(int length) : IDisposable
{
    private void* _memory = NativeMemory.AlignedAlloc((nuint)length, Page.Size);

    /// <summary>All of it.</summary>
    public Span<byte> Span => _memory is null ? throw new ObjectDisposedException(nameof(AlignedBuffer)) : new Span<byte>(_memory, length);

    public void Dispose()
    {
        NativeMemory.AlignedFree(_memory);
        _memory = null;
    }
}
