using DistMigrate.Transfer;

namespace DistMigrate.Grains;

/// <summary>
/// The guests of a host: those of its configuration, and those whose monitor socket lies in its guest folder as <c>NAME.qmp</c>,
/// which appear and vanish while the silo runs. Configuration wins. A folder that does not exist or does not answer has none.
/// </summary>
/// <param name="configured">Guests by name with their monitor sockets.</param>
/// <param name="folder">The guest folder; none when empty.</param>
/// <param name="time">The clock.</param>
internal sealed class KnownGuests(IReadOnlyDictionary<string, string> configured, string folder, TimeProvider time)
{
    /// <summary>How the name of a monitor socket in the guest folder ends.</summary>
    public const string Suffix = ".qmp";

    /// <summary>Names that are listed at most: a folder given by mistake may hold any number of files.</summary>
    private const int Most = 10_000;

    private static readonly TimeSpan Patience = TimeSpan.FromMilliseconds(500);

    private Task<IReadOnlyList<string>>? _underWay;

    /// <summary>The monitor socket that a guest has in a guest folder.</summary>
    public static string SocketIn(string folder, string guest) => Path.Combine(folder, guest + Suffix);

    /// <summary>All names, sorted.</summary>
    public async Task<IReadOnlyList<string>> ListAsync() =>
        [.. (await ReadAsync()).Concat(configured.Keys).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal)];

    /// <summary>The monitor socket of a guest; null when this host does not know it.</summary>
    public async Task<string?> FindAsync(string guest) =>
        configured.GetValueOrDefault(guest) ?? ((await ReadAsync()).Contains(guest, StringComparer.Ordinal) ? SocketIn(folder, guest) : null);

    private async Task<IReadOnlyList<string>> ReadAsync()
    {
        if (folder.Length == 0)
            return [];
        if (_underWay is not { IsCompleted: false })
            _underWay = StorageThread.RunAsync(Read);
        var answer = _underWay;
        return await Task.WhenAny(answer, Task.Delay(Patience, time)) == answer ? await answer : [];
    }

    private IReadOnlyList<string> Read()
    {
        try
        {
            return [.. Directory.EnumerateFiles(folder, "*" + Suffix).Select(path => Path.GetFileName(path)[..^Suffix.Length]).Where(GrainKeys.IsName).Take(Most)];
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // It is made with the first guest that is launched.
            return [];
        }
    }
}
