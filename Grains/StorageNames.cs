namespace DistMigrate.Grains;

/// <summary>Names of the grain storage providers.</summary>
public static class StorageNames
{
    /// <summary>Coordinators, hosts and the catalog.</summary>
    public const string Migrations = "migrations";
}
