using System.Globalization;
using System.Text.RegularExpressions;
using DistMigrate.Posix;

namespace DistMigrate.Client.Demo;

/// <summary>The memory of a QEMU process, RAMBlock by RAMBlock.</summary>
internal sealed partial class GuestMemory : IDisposable
{
    private readonly Descriptor _memory;
    private readonly Dictionary<string, (long Address, long Length)> _blocks;

    private GuestMemory(Descriptor memory, Dictionary<string, (long Address, long Length)> blocks)
    {
        _memory = memory;
        _blocks = blocks;
    }

    public static async Task<GuestMemory> OpenAsync(DemoGuest guest, CancellationToken cancellation)
    {
        var reply = await guest.Monitor.ExecuteAsync("x-query-ramblock", cancellation);
        var blocks = Parse(reply.GetProperty("human-readable-text").GetString()!);
        return new GuestMemory(Libc.Open(string.Create(CultureInfo.InvariantCulture, $"/proc/{guest.Pid}/mem"), OpenFlags.ReadOnly), blocks);
    }

    /// <summary>Compares a RAMBlock of two guests that are stopped.</summary>
    /// <returns>How many pages it has.</returns>
    /// <exception cref="CommandException">A page differs, or the block is not the same in both.</exception>
    public static long Compare(string block, GuestMemory source, GuestMemory target)
    {
        if (!source._blocks.TryGetValue(block, out var here) || !target._blocks.TryGetValue(block, out var there) || here.Length != there.Length)
            throw new CommandException(ExitCode.Malformed, $"the RAMBlock {block} of the image is not the same in both QEMUs.");
        const int PageSize = 4096;
        var left = new byte[1 << 20];
        var right = new byte[left.Length];
        for (var offset = 0L; offset < here.Length; offset += left.Length)
        {
            var length = (int)Math.Min(left.Length, here.Length - offset);
            Libc.PReadExactly(source._memory, left.AsSpan(0, length), here.Address + offset);
            Libc.PReadExactly(target._memory, right.AsSpan(0, length), there.Address + offset);
            var same = left.AsSpan(0, length).CommonPrefixLength(right.AsSpan(0, length));
            if (same != length)
                throw new CommandException(
                    ExitCode.Malformed,
                    string.Create(CultureInfo.InvariantCulture, $"page {(offset + same) / PageSize} of the RAMBlock {block} differs between the saved guest and the loaded one."));
        }
        return here.Length / PageSize;
    }

    /// <summary>Reads QEMU's table of RAMBlocks: name, page size, offset, used length, total length, host address, ro or rw.</summary>
    internal static Dictionary<string, (long Address, long Length)> Parse(string table)
    {
        var blocks = new Dictionary<string, (long Address, long Length)>(StringComparer.Ordinal);
        foreach (Match line in Line().Matches(table))
            blocks[line.Groups["name"].Value] = (Hex(line, "address"), Hex(line, "used"));
        return blocks;
    }

    public void Dispose() => _memory.Dispose();

    private static long Hex(Match line, string group) => long.Parse(line.Groups[group].ValueSpan, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);

    [GeneratedRegex(@"^[ \t]*(?<name>\S.*?)[ \t]+\d+ [KMGT]?i?B[ \t]+0x[0-9a-f]{1,16}[ \t]+0x(?<used>[0-9a-f]{1,16})[ \t]+0x[0-9a-f]{1,16}[ \t]+0x(?<address>[0-9a-f]{1,16})", RegexOptions.Multiline)]
    private static partial Regex Line();
}
