using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>Makes watches over an image's storage.</summary>
internal static class Watch
{
    /// <summary>One under which no call is tried again.</summary>
    public static StorageWatch Impatient() => new(TimeSpan.Zero, TimeProvider.System);
}
