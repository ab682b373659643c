using System.Text;

namespace DistMigrate.Tests.Lab;

/// <summary>A cpio archive in the "newc" form, which is what Linux unpacks as its initramfs (Documentation/driver-api/early-userspace/buffer-format.rst).</summary>
internal sealed class CpioArchive
{
    private const int FolderMode = 0x41ED;
    private const int ExecutableMode = 0x81ED;

    private readonly List<byte> _bytes = [];
    private int _inode;

    public void AddFolder(string name) => Add(name, FolderMode, []);

    public void AddFile(string name, ReadOnlySpan<byte> content) => Add(name, ExecutableMode, content);

    public byte[] Finish()
    {
        Add("TRAILER!!!", 0, []);
        return [.. _bytes];
    }

    private void Add(string name, int mode, ReadOnlySpan<byte> content)
    {
        _inode++;
        const int Links = 1;

        // inode, mode, uid, gid, links, mtime, size, device major and minor, rdev major and minor, name length with its NUL, checksum
        ReadOnlySpan<int> fields = [_inode, mode, 0, 0, Links, 0, content.Length, 0, 0, 0, 0, Encoding.ASCII.GetByteCount(name) + 1, 0];
        var header = new StringBuilder("070701");
        foreach (var field in fields)
        {
            header.Append($"{field:X8}");
        }

        _bytes.AddRange(Encoding.ASCII.GetBytes(header.Append(name).Append('\0').ToString()));
        Pad();
        _bytes.AddRange(content);
        Pad();
    }

    private void Pad()
    {
        while (_bytes.Count % 4 != 0)
        {
            _bytes.Add(0);
        }
    }
}
