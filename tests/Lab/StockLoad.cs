using System.Text.Json.Nodes;

namespace DistMigrate.Tests.Lab;

/// <summary>The load of an image by a stock QEMU with nothing but QMP.</summary>
public static class StockLoad
{
    /// <summary>
    /// Loads an image into a QEMU that was started with <see cref="GuestRecipe.AsTarget"/>. A target that was started paused stays so, and
    /// <c>cont</c> runs it; any other runs at once when the image says that its guest ran.
    /// </summary>
    /// <param name="target">The waiting QEMU.</param>
    /// <param name="path">The image.</param>
    /// <param name="way">How QEMU reads; it need not be the way in which the image was written.</param>
    /// <param name="limit">Null: <see cref="Wait.Ordinary"/>.</param>
    /// <param name="cancellationToken">Ends the waiting, not the load.</param>
    /// <returns>How it ended; also when QEMU crashed over the image.</returns>
    public static Task<MigrationOutcome> LoadAsync(
        QemuProcess target, string path, FileMigration way, TimeSpan? limit = null, CancellationToken cancellationToken = default) =>
        way.RunAsync(
            target,
            "migrate-incoming",
            new JsonObject { ["uri"] = way.Uri(path), ["exit-on-error"] = false },
            limit,
            cancellationToken);
}
