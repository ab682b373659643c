namespace DistMigrate.MappedRam.Journal;

/// <summary>
/// Is told what the records of a journal say, in their order. RAMBlocks and pages are checked before; what was told is void when the
/// reader ends with a <see cref="JournalException"/>.
/// </summary>
public interface IJournalVisitor
{
    /// <summary>The first call, once: whose journal it is.</summary>
    void Identify(JournalIdentity identity);

    /// <summary>Who writes from here on.</summary>
    void TakeOver(JournalToken token)
    {
    }

    /// <summary>Pages that are present and durable.</summary>
    /// <param name="block">The RAMBlock's index in the identity.</param>
    /// <param name="epoch">The fsync epoch that made them durable.</param>
    /// <param name="run">The pages.</param>
    /// <param name="hashes">16 bytes per page: its <see cref="JournalEntry"/>. Valid during the call.</param>
    void Durable(int block, uint epoch, PageRun run, ReadOnlySpan<byte> hashes);

    /// <summary>Pages that durably read as zero.</summary>
    /// <param name="block">The RAMBlock's index in the identity.</param>
    /// <param name="epoch">The fsync epoch that made them durable.</param>
    /// <param name="run">The pages.</param>
    void Zero(int block, uint epoch, PageRun run);

    /// <summary>Pages of which nobody knows what the file holds: they were about to be overwritten.</summary>
    void Invalidate(int block, PageRun run);

    /// <summary>A step of the switch-over.</summary>
    void Step(uint step, DateTimeOffset time, string text)
    {
    }
}
