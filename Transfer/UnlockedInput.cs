using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>A file that another process writes and holds the lock of: .NET's own open asks for a shared lock and would be refused.</summary>
internal sealed class UnlockedInput : IImageInput
{
    private readonly IStoredFile _file;

    /// <summary>Opens the file.</summary>
    /// <exception cref="IOException">There is none, or the storage failed.</exception>
    public UnlockedInput(string path, IFileSystem? files = null)
    {
        _file = Translated(() => (files ?? HostFileSystem.Instance).Open(path, OpenFlags.ReadOnly));
        Length = Translated(() => _file.Length);
    }

    /// <inheritdoc/>
    public long Length { get; }

    /// <inheritdoc/>
    public void ReadExactly(long offset, Span<byte> buffer)
    {
        try
        {
            _file.ReadExactly(offset, buffer);
        }
        catch (ErrnoException e)
        {
            throw new IOException(e.Message, e);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _file.Dispose();

    private static T Translated<T>(Func<T> call)
    {
        try
        {
            return call();
        }
        catch (ErrnoException e)
        {
            throw new IOException(e.Message, e);
        }
    }
}
