using CsCheck;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Posix;
using DistMigrate.Tests.Unit.MappedRam;
using DistMigrate.Transfer;
using DistMigrate.Transfer.Journal;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class JournalFileTests : IDisposable
{
    private static readonly JournalEvent[] Kinds =
    [
        .. Enum.GetValues<JournalEvent>(), JournalEvent.Durable, JournalEvent.Durable, JournalEvent.Invalid, JournalEvent.Flush, JournalEvent.Flush,
        JournalEvent.Rewrite,
    ];

    private readonly TestFolder _folder = new();
    private readonly JournalToken _token = new(3, Guid.NewGuid());

    private string Path => _folder["guest.img.journal"];

    [Fact]
    public void In_every_history_a_crash_loses_nothing_that_was_flushed_and_brings_nothing_back_that_was_invalidated() =>
        Gen.Select(Gen.Int, Gen.Int[0, Kinds.Length - 1].Array[1, 40]).Sample(
            (seed, steps) =>
            {
                using var history = new JournalHistory(seed);
                foreach (var step in steps)
                    history.Play(Kinds[step]);
                history.Finish();
            },
            iter: 400);

    [Fact]
    public void What_was_flushed_is_there_for_the_next_process()
    {
        var model = Write();
        var state = new JournalState();
        using var journal = JournalFile.TryOpen(Path, state);
        Assert.Equal(model.Print(), JournalModel.Print(state));
        Assert.Equal((new FileInfo(Path).Length, _token, null), (journal!.Length, journal.Token, journal.Failure));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path));
    }

    [Fact]
    public void Where_there_is_no_journal_or_none_that_was_ever_durable_there_is_nothing_to_open_and_one_can_be_begun()
    {
        Assert.Null(JournalFile.TryOpen(Path, new JournalState()));
        _folder.Write("guest.img.journal", "");
        Assert.Null(JournalFile.TryOpen(Path, new JournalState()));
        File.WriteAllBytes(Path, new byte[300]);
        Create().Dispose();
        Assert.NotNull(Open());
    }

    [Fact]
    public void A_journal_that_can_be_taken_up_again_is_not_written_over()
    {
        Write();
        var before = File.ReadAllBytes(Path);
        var refused = Assert.Throws<ImageException>(Create);
        Assert.Equal(ImageFault.Exists, refused.Fault);
        Assert.Contains("m-1", refused.Message, StringComparison.Ordinal);
        Assert.Equal(before, File.ReadAllBytes(Path));
    }

    [Fact]
    public void A_second_writer_is_refused_with_the_owners_name()
    {
        using var journal = Create();
        foreach (var second in new Func<object?>[] { Create, Open })
        {
            var refused = Assert.Throws<ImageException>(second);
            Assert.Equal(ImageFault.Busy, refused.Fault);
            Assert.Contains("m-1", refused.Message, StringComparison.Ordinal);
            Assert.Contains("guest \"ü\"", refused.Message, StringComparison.Ordinal);
            Assert.Contains("host-a", refused.Message, StringComparison.Ordinal);
        }

        journal.Rewrite(_ => { });
        Assert.Equal(ImageFault.Busy, Assert.Throws<ImageException>(Open).Fault);
        journal.Flush();
    }

    [Fact]
    public void A_torn_tail_is_cut_off_and_what_is_appended_stands_behind_the_rest()
    {
        var model = Write();
        var length = new FileInfo(Path).Length;
        File.AppendAllText(Path, "torn");
        using (var journal = Open())
        {
            Assert.Equal(length, new FileInfo(Path).Length);
            Invalidate(journal!, model, 1, new PageRun(0, 2));
            journal!.Flush();
        }

        var state = new JournalState();
        Assert.False(JournalReader.Replay(new MemoryImageInput(File.ReadAllBytes(Path)), state).IsTorn);
        Assert.Equal(model.Print(), JournalModel.Print(state));
    }

    [Fact]
    public void A_damaged_journal_is_refused_and_left_as_it_is()
    {
        Write();
        var bytes = File.ReadAllBytes(Path);
        bytes[^200] ^= 4;
        File.WriteAllBytes(Path, bytes);
        Assert.Equal(ImageFault.Malformed, Assert.Throws<ImageException>(Open).Fault);
        Assert.Equal(ImageFault.Malformed, Assert.Throws<ImageException>(Create).Fault);
        Assert.Equal(bytes, File.ReadAllBytes(Path));
    }

    [Fact]
    public void Only_a_higher_token_takes_over_and_it_does_so_durably()
    {
        using (var journal = Create())
        {
            journal.TakeOver(_token);
            Assert.Equal(ImageFault.Fenced, Assert.Throws<ImageException>(() => journal.TakeOver(new JournalToken(2, Guid.NewGuid()))).Fault);
            Assert.Equal(ImageFault.Fenced, Assert.Throws<ImageException>(() => journal.TakeOver(_token with { Id = Guid.NewGuid() })).Fault);
            journal.TakeOver(new JournalToken(8, _token.Id));
        }

        using var next = Open();
        Assert.Equal(8, next!.Token.Number);
        next.TakeOver(new JournalToken(9, _token.Id));
    }

    [Fact]
    public void After_a_failed_fsync_nothing_is_synced_again_and_every_call_tells_the_same_until_it_is_rewritten()
    {
        var files = new ModelStorage(new Random(1));
        var model = new JournalModel(Identity.Blocks);
        model.Token = _token;
        using var journal = JournalFile.Create(Path, Identity, _token, files);
        MakeDurable(journal, model, 0, new PageRun(0, 9), 1);
        files.Fault = call => call == "fsync" ? Errno.EIO : Errno.None;
        var failure = Assert.Throws<ImageException>(journal.Flush);
        files.Fault = _ => Errno.None;
        var syncs = files.Calls["fsync"];
        Assert.Same(failure, Assert.Throws<ImageException>(journal.Flush));
        Assert.Same(failure, Assert.Throws<ImageException>(() => journal.AppendStep(1, default, "")));
        Assert.Same(failure, Assert.Throws<ImageException>(() => journal.TakeOver(new JournalToken(9, default))));
        Assert.Same(failure, journal.Failure);
        Assert.Equal(syncs, files.Calls["fsync"]);
        journal.Rewrite(appender => appender.Durable(0, 1, [new PageRun(0, 9)], EntriesOf(model, 0)));
        Assert.Null(journal.Failure);
        files.Crash();
        var state = new JournalState();
        JournalFile.TryOpen(Path, state, files)!.Dispose();
        Assert.Equal(model.Print(), JournalModel.Print(state));
    }

    [Fact]
    public void A_rewrite_that_fails_leaves_the_journal_as_it_was_and_no_file_behind()
    {
        var files = new ModelStorage(new Random(1));
        using var journal = JournalFile.Create(Path, Identity, _token, files);
        foreach (var call in new[] { "open", "rename", "pwrite", "fsync" })
        {
            var first = true;
            journal.Rewrite(_ => { });
            files.Fault = made => made == call && first ? (first = false, Errno.EIO).Item2 : Errno.None;
            Assert.Throws<ImageException>(() => journal.Rewrite(_ => { }));
            files.Fault = _ => Errno.None;
            Assert.Equal([Path], files.Names);
            journal.Flush();
        }

        Assert.Throws<InvalidOperationException>(() => journal.Rewrite(_ => throw new InvalidOperationException("The test says so.")));
        Assert.Equal([Path], files.Names);
        journal.Flush();
    }

    [Fact]
    public void A_journal_whose_name_leads_elsewhere_takes_no_more_and_does_not_replace_the_others_file()
    {
        using var journal = Create();
        File.Delete(Path);
        File.WriteAllText(Path, "another's");
        Assert.Equal(ImageFault.Replaced, Assert.Throws<ImageException>(journal.Flush).Fault);
        Assert.Equal(ImageFault.Replaced, Assert.Throws<ImageException>(() => journal.Rewrite(_ => { })).Fault);
        journal.Remove();
        Assert.Equal("another's", File.ReadAllText(Path));
    }

    [Fact]
    public void Pages_that_no_block_has_are_a_mistake_of_the_caller_and_do_not_break_the_journal()
    {
        using var journal = Create();
        Assert.Throws<ArgumentException>(() => journal.AppendInvalid(0, [new PageRun(9000, 1)]));
        Assert.Throws<ArgumentException>(() => journal.AppendDurable(0, 1, [new PageRun(5, 2), new PageRun(6, 1)], (_, entries) => entries.Fill(7)));
        Assert.Throws<ArgumentOutOfRangeException>(() => journal.AppendInvalid(2, [new PageRun(0, 1)]));
        journal.Flush();
        Assert.Null(journal.Failure);
    }

    [Fact]
    public void A_copy_taken_at_any_moment_says_at_least_what_was_flushed()
    {
        var model = new JournalModel(Identity.Blocks);
        model.Token = _token;
        using var journal = Create();
        var random = new Random(5);
        List<string> states = [model.Print()];
        for (int i = 0, flushed = 0; i < 300; i++)
        {
            var run = new PageRun(random.Next(8000), random.Next(1, 900));
            if (random.Next(3) > 0)
                MakeDurable(journal, model, 0, run, i);
            else
                Invalidate(journal, model, 0, run);
            states.Add(model.Print());
            if (random.Next(4) == 0)
            {
                journal.Flush();
                flushed = i + 1;
            }

            Assert.True(states.LastIndexOf(JournalModel.Print(Read())) >= flushed);
            if (random.Next(20) == 0)
            {
                journal.Rewrite(appender => appender.Durable(0, 1, [new PageRun(0, 9000)], EntriesOf(model, 0)));
                flushed = i + 1;
            }
        }
    }

    [Fact]
    public void A_rewrite_while_others_append_loses_nothing()
    {
        const int writers = 4;
        const int pages = 3000;
        var identity = JournalScript.NewIdentity([.. Enumerable.Range(0, writers).Select(i => new JournalBlock($"ram{i}", pages))]);
        var entries = Enumerable.Range(0, writers).Select(_ => new UInt128[pages]).ToArray();
        using (var journal = JournalFile.Create(Path, identity, _token))
        {
            var rewrites = 0;
            var threads = Enumerable.Range(0, writers).Select(block => new Thread(() => Append(journal, block))).ToList();
            threads.ForEach(thread => thread.Start());
            try
            {
                for (; rewrites < 10; Interlocked.Increment(ref rewrites))
                    journal.Rewrite(Dump);
            }
            finally
            {
                Volatile.Write(ref rewrites, 10);
                threads.ForEach(thread => thread.Join());
            }

            journal.Flush();

            void Append(JournalFile journal, int block)
            {
                var random = new Random(block);
                while (Volatile.Read(ref rewrites) < 10)
                    AppendSome(journal, block, entries[block], random);
            }
        }

        var state = new JournalState();
        using var read = JournalFile.TryOpen(Path, state);
        for (var block = 0; block < writers; block++)
            Assert.Equal(entries[block], Enumerable.Range(0, pages).Select(page => state.Blocks[block][page]));

        void Dump(JournalAppender appender)
        {
            for (var block = 0; block < writers; block++)
                appender.Durable(block, 0, [new PageRun(0, pages)], Copy(entries[block]));
        }

        static void AppendSome(JournalFile journal, int block, UInt128[] entries, Random random)
        {
            var first = random.Next(pages);
            var run = new PageRun(first, random.Next(1, Math.Min(200, pages - first) + 1));
            var value = random.Next(3);
            lock (entries)
            {
                for (var page = run.First; page < run.End; page++)
                    entries[page] = value > 0 ? JournalScript.HashOf(page, value) : JournalEntry.None;
            }

            if (value > 0)
                journal.AppendDurable(block, 1, [run], Copy(entries));
            else
                journal.AppendInvalid(block, [run]);
            if (random.Next(100) == 0)
                journal.Flush();
        }

        static PageEntries Copy(UInt128[] entries) => (run, destination) =>
        {
            lock (entries)
                entries.AsSpan((int)run.First, (int)run.Count).CopyTo(destination);
        };
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    [InlineData(40)]
    public void A_journal_stays_below_its_bounds_whatever_the_pattern_of_pages(int pattern)
    {
        const long pages = (1L << 30) / Page.Size;
        const long bytes = 1L << 30;
        var files = new ModelStorage(new Random(1));
        var identity = JournalScript.NewIdentity(new JournalBlock("pc.ram", pages));
        var entries = new UInt128[pages];
        using var journal = JournalFile.Create(Path, identity, _token, files);
        for (uint epoch = 1; epoch <= 24; epoch++)
        {
            // A tenth of the guest in each epoch: every page of it, or single ones.
            var (start, count) = (epoch * 31_000 % (pages - 26_214), 26_214);
            PageRun[] runs = [.. Enumerable.Range(0, count / pattern).Select(i => new PageRun(start + ((long)i * pattern), 1))];
            if (pattern == 1)
                runs = [new PageRun(start, count)];
            PageRun[] stale = [.. runs.Where(run => entries[run.First] != JournalEntry.None)];
            if (journal.NeedsRewriteFor(count / pattern + stale.Length + (pattern is > 1 and < 6 ? count : 0)))
            {
                journal.Rewrite(Dump);
                Assert.True(journal.Length <= bytes / 1000 * 5, $"{journal.Length} bytes after a rewrite, more than 0.5 %");
            }

            foreach (var run in stale)
                entries[run.First] = JournalEntry.None;
            if (stale.Length > 0)
                journal.AppendInvalid(0, stale);
            journal.Flush();
            foreach (var run in runs)
            {
                for (var page = run.First; page < run.End; page++)
                    entries[page] = page % 5 == 0 ? JournalEntry.Zero : JournalScript.HashOf(page, (int)epoch);
            }

            journal.AppendDurable(0, epoch, runs, (run, destination) => entries.AsSpan((int)run.First, (int)run.Count).CopyTo(destination));
            journal.Flush();
        }

        journal.Rewrite(Dump);
        Assert.True(journal.Length <= bytes / 1000 * 5, $"{journal.Length} bytes after a rewrite, more than 0.5 %");
        Assert.True(files.PeakLength <= bytes / 1000 * 12, $"{files.PeakLength} bytes on disk at a time, more than 1.2 %");

        void Dump(JournalAppender appender) => appender.Durable(
            0, 0, [new PageRun(0, pages)], (run, destination) => entries.AsSpan((int)run.First, (int)run.Count).CopyTo(destination));
    }

    [Fact]
    public void The_checksums_hold_every_page_and_their_completion_and_are_no_journal()
    {
        using var journal = Create();
        journal.Finish(_folder["sums"], 99, appender => appender.Durable(1, 2, [new PageRun(0, 40)], (_, entries) => entries.Fill(JournalEntry.Zero)));
        var state = new JournalState();
        var end = JournalReader.Replay(new MemoryImageInput(File.ReadAllBytes(_folder["sums"])), state);
        Assert.Equal((99, false, 40), (end.ImageLength, end.IsTorn, state.Blocks[1].Zero.Count()));
        Assert.Equal(ImageFault.Malformed, Assert.Throws<ImageException>(() => JournalFile.TryOpen(_folder["sums"], new JournalState())).Fault);
        journal.Flush();
    }

    public void Dispose() => _folder.Dispose();

    private static readonly JournalIdentity Identity =
        JournalScript.NewIdentity(new JournalBlock("pc.ram", 9000), new JournalBlock("vga", 40));

    private JournalFile Create() => JournalFile.Create(Path, Identity, _token);

    private JournalFile? Open() => JournalFile.TryOpen(Path, new JournalState());

    private JournalModel Write()
    {
        var model = new JournalModel(Identity.Blocks);
        model.Token = _token;
        using var journal = Create();
        MakeDurable(journal, model, 0, new PageRun(10, 5000), 1);
        MakeDurable(journal, model, 1, new PageRun(0, 40), 2);
        journal.Flush();
        Invalidate(journal, model, 0, new PageRun(100, 50));
        journal.Flush();
        return model;
    }

    private static void MakeDurable(JournalFile journal, JournalModel model, int block, PageRun run, int value)
    {
        model.Set(block, run, page => JournalScript.HashOf(page, value));
        journal.AppendDurable(block, 1, [run], EntriesOf(model, block));
    }

    private static void Invalidate(JournalFile journal, JournalModel model, int block, PageRun run)
    {
        model.Invalidate(block, run);
        journal.AppendInvalid(block, [run]);
    }

    private static PageEntries EntriesOf(JournalModel model, int block) =>
        (run, entries) => model[block].Slice((int)run.First, (int)run.Count).CopyTo(entries);

    /// <summary>The journal while it is written: .NET's own open would ask for our lock.</summary>
    private JournalState Read()
    {
        var state = new JournalState();
        using var input = HostFileSystem.Instance.Open(Path, OpenFlags.ReadOnly);
        JournalReader.Replay(input, state);
        return state;
    }
}
