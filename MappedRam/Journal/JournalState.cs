namespace DistMigrate.MappedRam.Journal;

/// <summary>What a journal says in the end, page by page. Not thread-safe while it is filled.</summary>
public sealed class JournalState : IJournalVisitor
{
    private JournalBlockState[] _blocks = [];

    /// <summary>Whose journal it is; null before the first record.</summary>
    public JournalIdentity? Identity { get; private set; }

    /// <summary>The token in force; its number is 0 before the first.</summary>
    public JournalToken Token { get; private set; }

    /// <summary>The RAMBlocks in the order of the identity.</summary>
    public IReadOnlyList<JournalBlockState> Blocks => _blocks;

    /// <summary>The last step of the switch-over, or null.</summary>
    public (uint Step, DateTimeOffset Time, string Text)? LastStep { get; private set; }

    /// <inheritdoc/>
    public void Identify(JournalIdentity identity)
    {
        ArgumentNullException.ThrowIfNull(identity);
        Identity = identity;
        _blocks = [.. identity.Blocks.Select(block => new JournalBlockState(block))];
    }

    /// <inheritdoc/>
    public void TakeOver(JournalToken token) => Token = token;

    /// <inheritdoc/>
    public void Durable(int block, uint epoch, PageRun run, ReadOnlySpan<byte> hashes) => _blocks[block].SetHashes(run, hashes);

    /// <inheritdoc/>
    public void Zero(int block, uint epoch, PageRun run) => _blocks[block].SetZero(run);

    /// <inheritdoc/>
    public void Invalidate(int block, PageRun run) => _blocks[block].Invalidate(run);

    /// <inheritdoc/>
    public void Step(uint step, DateTimeOffset time, string text) => LastStep = (step, time, text);
}
