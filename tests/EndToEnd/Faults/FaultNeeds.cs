namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>What a machine must let a test do to make its faults.</summary>
[Flags]
public enum FaultNeeds
{
    /// <summary>Nothing beside a guest.</summary>
    None = 0,

    /// <summary>Mounting memory file systems, which takes root.</summary>
    Mount = 1,

    /// <summary>Mounting ext4 in a file, which takes loop devices and mkfs.ext4.</summary>
    Loop = Mount | 2,

    /// <summary>strace, and the right to attach it to the silo.</summary>
    Strace = 4,

    /// <summary>Mounting xfs in a file, which takes loop devices and mkfs.xfs.</summary>
    Xfs = Loop | 8,

    /// <summary>A GlusterFS of its own, which takes root, FUSE, network namespaces and the GlusterFS programs.</summary>
    Gluster = Loop | 16,

    /// <summary>sshfs, an SFTP server and FUSE, which takes root.</summary>
    Sshfs = Mount | 32,
}
