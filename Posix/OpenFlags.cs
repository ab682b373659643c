using System.Runtime.InteropServices;

namespace DistMigrate.Posix;

/// <summary>How a file is opened (open(2)). O_CLOEXEC is always added.</summary>
[Flags]
public enum OpenFlags
{
    /// <summary>Read only.</summary>
    ReadOnly = 0,

    /// <summary>Write only.</summary>
    WriteOnly = 1,

    /// <summary>Read and write.</summary>
    ReadWrite = 2,

    /// <summary>Create the file if it does not exist.</summary>
    Create = 4,

    /// <summary>With <see cref="Create"/>: fail with EEXIST if it does.</summary>
    Exclusive = 8,

    /// <summary>Cut an existing file to no bytes.</summary>
    Truncate = 16,

    /// <summary>Transfer past the page cache; EINVAL where the file system does not take it.</summary>
    Direct = 32,

    /// <summary>Open a folder; ENOTDIR for anything else.</summary>
    Folder = 64,

    /// <summary>Every write goes to the end of the file.</summary>
    Append = 128,
}

internal static class OpenFlagsNative
{
    // O_DIRECT and O_DIRECTORY are the two of these flags whose values differ between architectures (asm/fcntl.h).
    private static readonly bool IsArm = RuntimeInformation.ProcessArchitecture is Architecture.Arm64 or Architecture.Arm;

    public const int CloseOnExec = 0x80000;

    public static int ToNative(this OpenFlags flags)
    {
        var native = CloseOnExec | ((int)flags & 3);
        if (flags.HasFlag(OpenFlags.Create))
            native |= 0x40;
        if (flags.HasFlag(OpenFlags.Exclusive))
            native |= 0x80;
        if (flags.HasFlag(OpenFlags.Truncate))
            native |= 0x200;
        if (flags.HasFlag(OpenFlags.Append))
            native |= 0x400;
        if (flags.HasFlag(OpenFlags.Direct))
            native |= IsArm ? 0x10000 : 0x4000;
        if (flags.HasFlag(OpenFlags.Folder))
            native |= IsArm ? 0x4000 : 0x10000;
        return native;
    }
}
