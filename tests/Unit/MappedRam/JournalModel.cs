using System.IO.Hashing;
using System.Runtime.InteropServices;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Tests.Unit.MappedRam;

/// <summary>What a journal says, page by page, kept too simply to be wrong.</summary>
internal sealed class JournalModel(IReadOnlyList<JournalBlock> blocks)
{
    private readonly UInt128[][] _entries = [.. blocks.Select(block => new UInt128[block.Pages])];

    public JournalToken Token { get; set; }

    public Span<UInt128> this[int block] => _entries[block];

    public static JournalModel Of(JournalState state)
    {
        var model = new JournalModel(state.Identity?.Blocks ?? []) { Token = state.Token };
        for (var block = 0; block < state.Blocks.Count; block++)
        {
            var said = state.Blocks[block];
            for (var page = 0L; page < said.PageCount; page++)
            {
                Assert.True(said.Durable[page] || !said.Zero[page]);
                model._entries[block][page] = said[page];
            }
        }

        return model;
    }

    /// <summary>Sets the entries of pages; one that says nothing changes nothing.</summary>
    public void Set(int block, PageRun run, Func<long, UInt128> entryOf)
    {
        for (var page = run.First; page < run.End; page++)
        {
            if (entryOf(page) != JournalEntry.None)
            {
                _entries[block][page] = entryOf(page);
            }
        }
    }

    public void Invalidate(int block, PageRun run) => _entries[block].AsSpan((int)run.First, (int)run.Count).Clear();

    public JournalModel Copy()
    {
        var copy = new JournalModel(blocks) { Token = Token };
        for (var block = 0; block < blocks.Count; block++)
        {
            _entries[block].CopyTo(copy._entries[block], 0);
        }

        return copy;
    }

    /// <summary>A text that is the same only for the same state.</summary>
    public string Print()
    {
        var hash = new XxHash128();
        foreach (var block in _entries)
        {
            hash.Append(MemoryMarshal.AsBytes(block.AsSpan()));
        }

        var known = _entries.Sum(block => block.Count(entry => entry != JournalEntry.None));
        return $"{Token.Number} {Token.Id}: {known} pages, {hash.GetCurrentHashAsUInt128():x32}";
    }

    public static string Print(JournalState state) => Of(state).Print();

    /// <summary>Whether this is <paramref name="before"/> with a part of what leads to <paramref name="after"/>: all of it up to some page.</summary>
    public bool IsBetween(JournalModel before, JournalModel after)
    {
        var changed = true;
        for (var block = 0; block < _entries.Length; block++)
        {
            for (var page = 0; page < _entries[block].Length; page++)
            {
                var entry = _entries[block][page];
                changed &= entry == after._entries[block][page];
                if (!changed && entry != before._entries[block][page])
                {
                    return false;
                }
            }
        }

        return true;
    }
}
