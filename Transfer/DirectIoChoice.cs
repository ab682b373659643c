namespace DistMigrate.Transfer;

/// <summary>Whether pages are written past the page cache.</summary>
public enum DirectIoChoice
{
    /// <summary>Where a probe shows that the file system takes it.</summary>
    Auto,

    /// <summary>Or not at all.</summary>
    On,

    /// <summary>Through the page cache.</summary>
    Off,
}
