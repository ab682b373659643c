using Microsoft.Win32.SafeHandles;

namespace DistMigrate.MappedRam;

/// <summary>An image in a file. Others may write, rename or delete the file meanwhile; the length is that of the moment of opening.</summary>
public sealed class FileImageInput : IImageInput
{
    private readonly string _path;
    private readonly SafeFileHandle _handle;

    /// <summary>Opens the file at <paramref name="path"/> for reading.</summary>
    /// <exception cref="IOException">There is no such file, or the storage failed.</exception>
    /// <exception cref="UnauthorizedAccessException">The file may not be read by this user, or is a folder.</exception>
    public FileImageInput(string path)
    {
        _path = path;
        _handle = File.OpenHandle(path, share: FileShare.ReadWrite | FileShare.Delete);
        try
        {
            Length = RandomAccess.GetLength(_handle);
        }
        catch
        {
            _handle.Dispose();
            throw;
        }
    }

    /// <inheritdoc/>
    public long Length { get; }

    /// <inheritdoc/>
    public void ReadExactly(long offset, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var read = RandomAccess.Read(_handle, buffer, offset);
            if (read == 0)
            {
                throw new EndOfStreamException(
                    $"{_path} ends at offset {offset}, {buffer.Length} bytes too early: it became shorter while it was read.");
            }

            offset += read;
            buffer = buffer[read..];
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _handle.Dispose();
}
