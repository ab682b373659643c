using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>What is known of the pages of one RAMBlock, kept page by page and too simple to be wrong.</summary>
internal sealed class ModelPages(SyntheticMemory memory)
{
    private readonly ModelPage[] _pages = [.. Enumerable.Range(0, (int)(memory.Length / Page.Size)).Select(_ => new ModelPage())];
    private long _first;
    private long _redirtied;
    private long _resumed;

    public ModelPage this[long page] => _pages[page];

    /// <summary>Whether the storage has some of them no more.</summary>
    public bool IsForgotten => Array.Exists(_pages, page => page.IsForgotten);

    public IEnumerable<ModelPage> In(ModelPageState state) => _pages.Where(page => page.State == state);

    public bool Any(ModelPageState state) => Array.Exists(_pages, page => page.State == state);

    public byte[] Values(PageRun run) => [.. Enumerable.Range((int)run.First, (int)run.Count).Select(page => memory[page][0])];

    /// <summary>Memory is compared with what was written: only what differs is to be written again.</summary>
    public void Compare()
    {
        for (var i = 0; i < _pages.Length; i++)
        {
            var page = _pages[i];
            if (page.State is not (ModelPageState.Written or ModelPageState.Durable) || page.Value == memory[i][0])
                continue;
            page.State = page.State == ModelPageState.Durable ? ModelPageState.Held : ModelPageState.Dirty;
            page.HasChanged = true;
            page.IsJournaled = false;
        }
    }

    /// <summary>The image is compared with what was written: what the storage has no more is to be written again.</summary>
    public void ReadBack()
    {
        foreach (var page in _pages.Where(page => page is { IsForgotten: true, State: ModelPageState.Durable }))
        {
            page.State = ModelPageState.Held;
            page.HasFailed = true;
            page.IsJournaled = false;
        }
    }

    public void Take(PageRun run)
    {
        for (var i = run.First; i < run.End; i++)
        {
            Assert.Equal(ModelPageState.Dirty, _pages[i].State);
            _pages[i].State = ModelPageState.InFlight;
        }
    }

    /// <summary>The holes among the dirty pages need not be read.</summary>
    public void Scan()
    {
        for (var i = 0; i < _pages.Length; i++)
        {
            if (_pages[i].State == ModelPageState.Dirty && memory.IsHole(i))
                Land(_pages[i], 0);
        }
    }

    public void Land(PageRun run, byte[] values)
    {
        for (var i = 0; i < run.Count; i++)
            Land(_pages[run.First + i], values[i]);
    }

    public void Fail(PageRun run)
    {
        for (var i = run.First; i < run.End; i++)
        {
            _pages[i].State = ModelPageState.Dirty;
            _pages[i].HasFailed = true;
            _pages[i].MustRepeat = false;
        }
    }

    /// <summary>Nobody knows what became of the writes since the last good fsync.</summary>
    public void LoseUnsynced()
    {
        foreach (var page in _pages)
        {
            if (page.State == ModelPageState.Written)
            {
                page.State = ModelPageState.Dirty;
                page.HasFailed = true;
            }

            page.MustRepeat |= page.State == ModelPageState.InFlight;
        }
    }

    public void AssertCounts(BlockEngine engine)
    {
        var now = engine.Snapshot();
        Assert.Equal(
            (Count(ModelPageState.Dirty) + Count(ModelPageState.Held), Count(ModelPageState.InFlight), Count(ModelPageState.Written), Count(ModelPageState.Durable)),
            (now.Dirty, now.InFlight, now.Written, now.Durable));
        Assert.Equal((_first, _redirtied, _resumed), (now.First, now.Redirtied, now.Resumed));
    }

    private long Count(ModelPageState state) => _pages.LongCount(page => page.State == state);

    /// <summary>A page is written for the first time, or because a write of it failed, or because it changed: for nothing else.</summary>
    private void Land(ModelPage page, byte value)
    {
        Assert.True(!page.WasWritten || page.HasFailed || page.HasChanged, "a page is written again that neither failed nor changed");
        if (value != 0)
        {
            _resumed += page.HasFailed ? 1 : 0;
            _redirtied += !page.HasFailed && page.WasWritten ? 1 : 0;
            _first += !page.HasFailed && !page.WasWritten ? 1 : 0;
        }

        page.Value = value;
        page.State = page.MustRepeat ? ModelPageState.Dirty : ModelPageState.Written;
        page.HasFailed = page.MustRepeat;
        page.WasWritten = true;
        page.MustRepeat = page.HasChanged = page.IsForgotten = false;
    }
}

/// <summary>What is known of one page.</summary>
internal sealed class ModelPage
{
    public ModelPageState State { get; set; }

    /// <summary>The byte that fills it in the image, where that is known.</summary>
    public byte Value { get; set; }

    /// <summary>A write of it came to its end.</summary>
    public bool WasWritten { get; set; }

    /// <summary>A write of it failed, or nobody knows what became of it.</summary>
    public bool HasFailed { get; set; }

    /// <summary>Nobody knows what becomes of the write under way.</summary>
    public bool MustRepeat { get; set; }

    /// <summary>The guest changed it since it was written.</summary>
    public bool HasChanged { get; set; }

    /// <summary>The storage has it no more, and it was not written again.</summary>
    public bool IsForgotten { get; set; }

    /// <summary>The journal says durably that it is durable.</summary>
    public bool IsJournaled { get; set; }
}

/// <summary>Where a page is on its way into the image.</summary>
internal enum ModelPageState
{
    Dirty,

    /// <summary>Dirty, and its hash stands in the journal.</summary>
    Held,
    InFlight,
    Written,
    Durable,
}
