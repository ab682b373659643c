using System.Text.Json;

namespace DistMigrate.Guests;

/// <summary>
/// Those of QEMU's migration settings that differ from what a migration of ours needs, as they are before it: what it changes, and
/// so what is put back. A setting that is not in it is left alone. It can be written as JSON and read again.
/// </summary>
/// <param name="Capabilities">The state of each capability, by its name.</param>
/// <param name="Parameters">The value of each parameter, by its name, as <c>query-migrate-parameters</c> gives it.</param>
public sealed record MigrationSettingsSnapshot(
    IReadOnlyDictionary<string, bool> Capabilities, IReadOnlyDictionary<string, JsonElement> Parameters);
