using DistMigrate.Contracts;
using DistMigrate.Transfer;

namespace DistMigrate.Grains;

/// <summary>The catalog's migrations that write images.</summary>
internal static class KnownSaves
{
    public static IReadOnlyList<KnownSave> Of(IEnumerable<MigrationSummary> migrations) =>
    [
        .. migrations.Where(migration => migration.Spec.Request.Kind != MigrationKind.Restore)
            .Select(migration => new KnownSave(
                migration.Spec.Id, migration.Spec.Request.Guest, migration.Spec.Request.ImagePath, migration.Phase.ToName(), !migration.Phase.IsEnd())),
    ];
}
