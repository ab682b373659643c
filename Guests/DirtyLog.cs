namespace DistMigrate.Guests;

/// <summary>What a running guest's writes leave in the dirty log of a migration.</summary>
public enum DirtyLog
{
    /// <summary>All of them are in it.</summary>
    Complete,

    /// <summary>Some may be missing.</summary>
    Incomplete,

    /// <summary>Some may be missing, and QEMU may end itself when it reads the log.</summary>
    Fatal,
}
