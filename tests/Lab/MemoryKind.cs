namespace DistMigrate.Tests.Lab;

/// <summary>Where the RAM of a guest lives on the host.</summary>
public enum MemoryKind
{
    /// <summary><c>memory-backend-file,share=on</c>: a named file.</summary>
    SharedFile,

    /// <summary><c>memory-backend-memfd,share=on</c>: shared, without a name.</summary>
    Memfd,

    /// <summary>Anonymous memory of the QEMU process.</summary>
    Private,
}
