using System.Text.Json;

namespace DistMigrate.Tests.Lab;

/// <summary>How a migration that QEMU ran by itself ended.</summary>
/// <param name="Completed">True for QEMU's status "completed".</param>
/// <param name="Error">QEMU's own error text, with what it wrote to stderr; null when completed.</param>
/// <param name="Duration">From the command to QEMU's last word about it.</param>
/// <param name="Statistics">QEMU's last <c>query-migrate</c>; undefined when QEMU died.</param>
public sealed record MigrationOutcome(bool Completed, string? Error, TimeSpan Duration, JsonElement Statistics)
{
    /// <summary>Throws unless it completed.</summary>
    /// <exception cref="InvalidOperationException">It failed; the message is QEMU's.</exception>
    public MigrationOutcome ThrowUnlessCompleted() =>
        Completed ? this : throw new InvalidOperationException($"QEMU's migration failed: {Error}");
}
