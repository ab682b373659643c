namespace DistMigrate.Guests;

/// <summary>How a RAMBlock's memory is mapped in QEMU.</summary>
public enum GuestMemoryKind
{
    /// <summary>A shared mapping of a file that has, or had, a name: /dev/shm, a disk file, hugetlbfs.</summary>
    SharedFile,

    /// <summary>A shared mapping of a file that never had a name: memfd, or shared anonymous memory.</summary>
    Memfd,

    /// <summary>Memory of QEMU alone: anonymous, or a private mapping of a file.</summary>
    Private,
}
