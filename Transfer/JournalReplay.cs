using System.Runtime.InteropServices;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer;

/// <summary>Sets the engines of a resumed attempt up with what its journal says.</summary>
/// <param name="identify">Checks whose journal it is, and gives the engines of its RAMBlocks in their order.</param>
internal sealed class JournalReplay(Func<JournalIdentity, IReadOnlyList<BlockEngine>> identify) : IJournalVisitor
{
    private IReadOnlyList<BlockEngine> _engines = [];

    /// <inheritdoc/>
    public void Identify(JournalIdentity identity) => _engines = identify(identity);

    /// <inheritdoc/>
    public void Durable(int block, uint epoch, PageRun run, ReadOnlySpan<byte> hashes) =>
        _engines[block].Adopt(run, MemoryMarshal.Cast<byte, UInt128>(hashes));

    /// <inheritdoc/>
    public void Zero(int block, uint epoch, PageRun run) => _engines[block].Adopt(run, []);

    /// <inheritdoc/>
    public void Invalidate(int block, PageRun run) => _engines[block].Disown(run);
}
