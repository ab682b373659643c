using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Posix;
using DistMigrate.Tests.Unit.MappedRam;
using DistMigrate.Transfer;
using DistMigrate.Transfer.Journal;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>What may happen to a journal, one thing after another.</summary>
internal enum JournalEvent
{
    Durable,
    Invalid,
    Step,
    TakeOver,
    Flush,
    Rewrite,
    Kill,
    Crash,
    Fail,
}

/// <summary>
/// Plays events on a journal in a file system that forgets and fails. After each loss the journal must say what it said at some moment not before
/// the last good flush.
/// </summary>
internal sealed class JournalHistory : IDisposable
{
    private const string Name = "/images/a.journal";

    private static readonly JournalIdentity Identity = JournalScript.NewIdentity(new JournalBlock("pc.ram", 4500), new JournalBlock("vga", 40));

    private readonly Random _random;
    private readonly ModelStorage _files;
    private readonly List<JournalModel> _states = [];
    private JournalModel _memory = new(Identity.Blocks);
    private JournalFile _journal;
    private JournalToken _token = new(1, Guid.NewGuid());
    private int _flushed;
    private int _value;
    private int _failAfter = -1;

    public JournalHistory(int seed)
    {
        _random = new Random(seed);
        _files = new ModelStorage(_random) { Fault = Fault, LosesAnswers = true };
        _memory.Token = _token;
        _states.Add(_memory.Copy());
        _journal = JournalFile.Create(Name, Identity, _token, _files);
    }

    public void Play(JournalEvent what)
    {
        switch (what)
        {
            case JournalEvent.Durable:
                Durable();
                break;
            case JournalEvent.Invalid:
                var (block, runs) = RandomRuns();
                foreach (var run in runs)
                    _memory.Invalidate(block, run);
                Append(() => _journal.AppendInvalid(block, runs));
                break;
            case JournalEvent.Step:
                Append(() => _journal.AppendStep(1, DateTimeOffset.UnixEpoch, "text"));
                break;
            case JournalEvent.TakeOver:
                TakeOver();
                break;
            case JournalEvent.Flush:
                if (Try(_journal.Flush))
                    _flushed = _states.Count - 1;
                break;
            case JournalEvent.Rewrite:
                if (Try(() => _journal.Rewrite(DumpWhileOthersAppend)))
                    _flushed = _states.Count - 1;
                break;
            case JournalEvent.Kill:
                _files.Kill();
                Reopen();
                break;
            case JournalEvent.Crash:
                _files.Crash();
                Reopen();
                break;
            case JournalEvent.Fail:
                _failAfter = _random.Next(12);
                break;
        }
    }

    public void Finish()
    {
        _failAfter = -1;
        if (_journal.Failure is not null)
            _journal.Rewrite(Dump);
        _journal.Flush();
        _flushed = _states.Count - 1;
        Play(JournalEvent.Crash);
        _journal.Finish("/images/a.checksums.tmp", 4711, Dump);
        var state = new JournalState();
        var end = JournalReader.Replay(new MemoryImageInput(_files.Read("/images/a.checksums.tmp")), state);
        Assert.Equal((_memory.Print(), 4711, false), (JournalModel.Print(state), end.ImageLength, end.IsTorn));
        _journal.Remove();
        Assert.DoesNotContain(Name, _files.Names);
        Assert.DoesNotContain(Name + ".new", _files.Names);
    }

    public void Dispose() => _journal.Dispose();

    private Errno Fault(string call)
    {
        // Closing files and reading what a dead process left do not fail here: their errors end in the caller.
        if (_failAfter < 0 || call is "unlink" or "pread" or "open")
            return Errno.None;
        return _failAfter-- == 0 ? call == "pwrite" ? Errno.ENOSPC : Errno.EIO : Errno.None;
    }

    private void Durable()
    {
        var (block, runs) = RandomRuns();
        var value = ++_value;
        var (zeros, nones) = (_random.Next(1, 40), _random.Next(1, 40));
        foreach (var run in runs)
            _memory.Set(block, run, EntryOf);
        Append(() => _journal.AppendDurable(block, 1, runs, (run, entries) =>
        {
            for (var i = 0; i < entries.Length; i++)
                entries[i] = EntryOf(run.First + i);
        }));

        UInt128 EntryOf(long page) =>
            page / zeros % 3 == 1 ? JournalEntry.Zero : page / nones % 4 == 2 ? JournalEntry.None : JournalScript.HashOf(page, value);
    }

    private void TakeOver()
    {
        var token = new JournalToken(_token.Number + _random.Next(1, 3), Guid.NewGuid());
        var copy = _memory.Copy();
        copy.Token = token;
        _states.Add(copy.Copy());
        if (!Try(() => _journal.TakeOver(token)) && _journal.Token != token)
        {
            // A broken journal refuses before it writes.
            _states.RemoveAt(_states.Count - 1);
            return;
        }

        (_token, _memory) = (token, copy);
        if (_journal.Failure is null)
            _flushed = _states.Count - 1;
    }

    private void Append(Action append)
    {
        _states.Add(_memory.Copy());
        Try(append);
    }

    private bool Try(Action action)
    {
        var broken = _journal.Failure;
        try
        {
            action();
            Assert.Null(_journal.Failure);
            return true;
        }
        catch (ImageException e)
        {
            Assert.True(broken is null || broken == e || _journal.Failure == e || e.Errno != Errno.None, "another error than the one that broke it");
            return false;
        }
    }

    private void Reopen()
    {
        _failAfter = -1;
        var state = new JournalState();
        var journal = JournalFile.TryOpen(Name, state, _files);
        Assert.NotNull(journal);
        _journal = journal;
        _memory = JournalModel.Of(state);
        _token = state.Token;

        // An append may be more than one record.
        var said = _memory.Print();
        var moment = _states.FindLastIndex(known => known.Print() == said);
        for (var next = _states.Count - 1; moment < _flushed && next > _flushed; next--)
            moment = _memory.Token == _states[next].Token && _memory.IsBetween(_states[next - 1], _states[next]) ? next : moment;
        Assert.True(moment >= _flushed, $"after a loss the journal says what it said at moment {moment} of {_states.Count}, but was flushed at {_flushed}");
        _states.Clear();
        _states.Add(_memory.Copy());
        _flushed = 0;
    }

    private void DumpWhileOthersAppend(JournalAppender appender)
    {
        PlaySome();
        Dump(appender);
        PlaySome();
    }

    private void PlaySome()
    {
        JournalEvent[] kinds = [JournalEvent.Durable, JournalEvent.Invalid, JournalEvent.Flush, JournalEvent.TakeOver];

        // What a broken journal refuses is in the new file only if it was in memory before the dump.
        for (var count = _random.Next(4); count > 0 && _journal.Failure is null; count--)
            Play(kinds[_random.Next(kinds.Length)]);
    }

    private void Dump(JournalAppender appender)
    {
        for (var block = 0; block < Identity.Blocks.Count; block++)
        {
            var index = block;
            appender.Durable(index, 0, [new PageRun(0, Identity.Blocks[index].Pages)], (run, entries) =>
                _memory[index].Slice((int)run.First, (int)run.Count).CopyTo(entries));
        }
    }

    private (int Block, PageRun[] Runs) RandomRuns()
    {
        var block = _random.Next(2);
        var pages = Identity.Blocks[block].Pages;
        var longest = _random.Next(4) == 0 ? 5000 : 20;
        List<PageRun> runs = [];
        for (var first = _random.NextInt64(pages); first < pages && runs.Count < 20; first += _random.Next(1, 30))
        {
            var run = new PageRun(first, Math.Min(_random.Next(1, longest), pages - first));
            runs.Add(run);
            first = run.End;
        }

        return (block, [.. runs]);
    }
}
