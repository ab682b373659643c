using Microsoft.Win32.SafeHandles;

namespace DistMigrate.Posix;

/// <summary>An open file descriptor. Unlike <see cref="SafeFileHandle"/> it takes no lock on open and tells what close(2) returned.</summary>
public sealed class Descriptor : SafeHandleMinusOneIsInvalid
{
    /// <summary>Takes ownership of an open descriptor.</summary>
    public Descriptor(int fd, string path) : base(ownsHandle: true)
    {
        SetHandle(fd);
        Path = path;
    }

    /// <summary>The path it was opened by, for messages.</summary>
    public string Path { get; }

    /// <summary>The descriptor's number.</summary>
    public int Number => (int)handle;

    /// <summary>Closes it and tells the outcome: network storage may report a lost write only here (close(2), NOTES).</summary>
    /// <exception cref="ErrnoException">close(2) failed; what was written since the last good fsync may be lost.</exception>
    public void CloseChecked()
    {
        if (IsClosed || IsInvalid)
            return;
        var fd = Number;
        SetHandleAsInvalid();
        Libc.Close(fd, Path);
    }

    /// <inheritdoc/>
    protected override bool ReleaseHandle() => Libc.TryClose((int)handle);
}
