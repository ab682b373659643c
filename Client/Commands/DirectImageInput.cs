using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Client.Commands;

/// <summary>
/// An image that is read past the page cache where its file system takes that, so that what storage holds is proven, and not what the
/// cache remembers. Thread-safe.
/// </summary>
internal sealed class DirectImageInput : ISparseImageInput
{
    private readonly Descriptor _cached;
    private readonly Descriptor? _direct;

    /// <exception cref="ErrnoException">It cannot be opened.</exception>
    public DirectImageInput(string path)
    {
        _cached = Libc.Open(path, OpenFlags.ReadOnly);
        try
        {
            Length = Libc.Identify(_cached).Length;
            _direct = TryOpenDirect(path);
        }
        catch
        {
            _cached.Dispose();
            throw;
        }
    }

    public long Length { get; }

    /// <summary>Whether whole pages are read past the page cache.</summary>
    public bool IsDirect => _direct is not null;

    public unsafe void ReadExactly(long offset, Span<byte> buffer)
    {
        var isWholePages = offset % Page.Size == 0 && buffer.Length % Page.Size == 0;
        fixed (byte* memory = buffer)
            Libc.PReadExactly(_direct is not null && isWholePages && (nint)memory % Page.Size == 0 ? _direct : _cached, buffer, offset);
    }

    public long FindData(long offset)
    {
        try
        {
            return Libc.SeekData(_cached, offset) is var data && data >= 0 ? data : Length;
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            // The file system does not tell holes.
            return offset;
        }
    }

    public void Dispose()
    {
        _direct?.Dispose();
        _cached.Dispose();
    }

    private static unsafe Descriptor? TryOpenDirect(string path)
    {
        Descriptor? direct = null;
        var probe = stackalloc byte[2 * Page.Size];
        try
        {
            direct = Libc.Open(path, OpenFlags.ReadOnly | OpenFlags.Direct);
            // Some file systems take the flag and refuse the read.
            Libc.PRead(direct, new Span<byte>((byte*)(((nint)probe + Page.Size - 1) / Page.Size * Page.Size), Page.Size), 0);
            return direct;
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            direct?.Dispose();
            return null;
        }
        catch
        {
            direct?.Dispose();
            throw;
        }
    }
}
