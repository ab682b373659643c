using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>The file systems of this machine.</summary>
internal sealed class HostFileSystem : IFileSystem
{
    public static HostFileSystem Instance { get; } = new();

    public IStoredFile Open(string path, OpenFlags flags) => new StoredFile(Libc.Open(path, flags));

    public FileIdentity? Find(string path)
    {
        try
        {
            return Libc.Identify(path);
        }
        catch (ErrnoException e) when (e.Errno == Errno.ENOENT)
        {
            return null;
        }
    }

    public IEnumerable<string> List(string folder) => Directory.EnumerateFiles(folder);

    public void Rename(string from, string to, bool replace) => Libc.Rename(from, to, replace);

    public void Link(string existing, string name) => Libc.Link(existing, name);

    public void Remove(string path) => File.Delete(path);

    public void FSyncFolder(string folder) => Libc.FSyncFolder(folder);

    private sealed class StoredFile(Descriptor file) : IStoredFile
    {
        public long Length => Libc.Identify(file).Length;

        public void ReadExactly(long offset, Span<byte> buffer) => Libc.PReadExactly(file, buffer, offset);

        public int Write(ReadOnlySpan<byte> bytes, long offset, out Errno errno) => Libc.PWrite(file, bytes, offset, out errno);

        public void Write(ReadOnlySpan<byte> bytes, long offset) => Libc.PWriteExactly(file, bytes, offset);

        public IReadOnlyList<(long Start, long End)>? TryExtents(long start, long end) => Libc.TryExtents(file, start, end);

        public Errno Allocate(long offset, long length) => Libc.Allocate(file, offset, length);

        public Errno PunchHole(long offset, long length) => Libc.PunchHole(file, offset, length);

        public void FSync() => Libc.FSync(file);

        public void Truncate(long length) => Libc.Truncate(file, length);

        public bool TryLock() => Libc.TryLock(file);

        public FileIdentity Identify() => Libc.Identify(file);

        public void CloseChecked() => file.CloseChecked();

        public void Dispose() => file.Dispose();
    }
}
