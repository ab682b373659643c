using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Output;

/// <summary>Writes what saves left on a host's storage to standard output.</summary>
internal static class LeftoverOutput
{
    public static void Show(this Terminal terminal, string host, bool removes, IReadOnlyList<Leftover> leftovers, TimeProvider time)
    {
        if (terminal.Format == OutputFormat.Json)
        {
            OutputJson.Write(
                terminal,
                new LeftoversDocument(OutputJson.Schema, host, removes, [.. leftovers.Select(ToEntry)]),
                OutputJson.Writing.LeftoversDocument);
            return;
        }
        if (leftovers.Count == 0)
            return;
        var table = Tables.Make(terminal, "Path", ">Size", ">Age", "Migration", "Guest", "State", "Remark");
        foreach (var file in leftovers)
        {
            var age = time.GetUtcNow() - file.Changed;
            table.Row(
                file.Path, ByteSize.Format(file.Bytes), IsFile(file) ? DurationText.Format(age > TimeSpan.Zero ? age : TimeSpan.Zero) : "",
                file.Migration, file.Guest, StateOf(file), file.Remark);
        }
        terminal.Show(table);
    }

    /// <summary>Not a remark about a folder.</summary>
    internal static bool IsFile(Leftover leftover) => leftover.Changed > DateTimeOffset.UnixEpoch;

    private static string StateOf(Leftover file) => file.IsRemoved ? "removed" : file.IsOwned ? "kept" : "unowned";

    private static LeftoverEntry ToEntry(Leftover file) => new(
        file.Path, file.Bytes, file.Changed, NullIfEmpty(file.Migration), NullIfEmpty(file.Guest), file.IsOwned, file.IsRemoved, NullIfEmpty(file.Remark));

    private static string? NullIfEmpty(string text) => text.Length == 0 ? null : text;
}
