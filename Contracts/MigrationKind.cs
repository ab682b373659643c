namespace DistMigrate.Contracts;

/// <summary>What a migration does.</summary>
[GenerateSerializer, Alias("distmigrate.MigrationKind")]
public enum MigrationKind
{
    /// <summary>A guest is saved into an image.</summary>
    Save,

    /// <summary>An image is loaded into a QEMU.</summary>
    Restore,

    /// <summary>A guest is saved on one host, loaded on another, and ended on the first.</summary>
    Move,

    /// <summary>Everything is examined that a save, or a move, examines before it touches the guest; then it ends.</summary>
    Plan,
}
