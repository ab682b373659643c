using DistMigrate.Contracts;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains.Tracing;

/// <summary>What log lines are about, beside what they say: migration, guest and RAMBlock.</summary>
internal static class LogScopes
{
    /// <summary>Lines logged until the scope is disposed are about a migration.</summary>
    public static IDisposable? Of(ILogger logger, MigrationSpec spec) =>
        logger.BeginScope(new KeyValuePair<string, object?>[] { new("Migration", spec.Id), new("Guest", spec.Request.Guest) });

    /// <summary>Lines logged until the scope is disposed are about a RAMBlock of a migration.</summary>
    public static IDisposable? Of(ILogger logger, MigrationSpec spec, string ramBlock) => logger.BeginScope(
        new KeyValuePair<string, object?>[] { new("Migration", spec.Id), new("Guest", spec.Request.Guest), new("RamBlock", ramBlock) });
}
