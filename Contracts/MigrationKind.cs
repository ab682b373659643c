namespace DistMigrate.Contracts;

/// <summary>What a migration does.</summary>
[GenerateSerializer, Alias("distmigrate.MigrationKind")]
public enum MigrationKind
{
    /// <summary>A guest is saved into an image.</summary>
    Save,

    /// <summary>An image is loaded into a waiting QEMU.</summary>
    Restore,
}
