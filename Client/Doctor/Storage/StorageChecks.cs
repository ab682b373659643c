using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Everything that is looked at in a folder. The ids are in scripts of operators, so they never change.</summary>
internal static class StorageChecks
{
    public static IReadOnlyList<StorageCheck> All { get; } =
    [
        new("folder", FolderCheck.Look, IsNeeded: true),
        new("mount", MountCheck.Look),
        new("space", SpaceCheck.Look),
        new("create", CreateCheck.Look, IsNeeded: true),
        new("direct-io", DirectIoCheck.Look),
        new("fsync", FsyncCheck.Look),
        new("holes", HolesCheck.Look),
        new("punch-hole", PunchHoleCheck.Look),
        new("allocate", AllocateCheck.Look),
        new("file-size", FileSizeCheck.Look),
        new("name-length", NameLengthCheck.Look),
        new("rename", RenameCheck.Look),
        new("exclusive-create", ExclusiveCreateCheck.Look),
        new("lock", LockCheck.Look),
        new("peer-lock", PeerLockCheck.Look),
        new("throughput", ThroughputCheck.Look),
    ];

    /// <summary>Makes one check, with what the storage refuses in words.</summary>
    /// <exception cref="OperationCanceledException">It was interrupted.</exception>
    public static Finding Run(StorageCheck check, StorageScene scene)
    {
        try
        {
            return check.Look(scene);
        }
        catch (ErrnoException e)
        {
            return StorageRefusal.Explain(e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Finding.Failed(e.Message, "a save to this folder would fail as well", "look into the kernel's log and the storage's own");
        }
    }
}
