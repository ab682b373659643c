using DistMigrate.MappedRam.Journal;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class ImageAttemptTests : IDisposable
{
    private readonly ImagePaths _paths = new("/images/guest.image");
    private readonly ModelStorage _storage = new(new Random(1));
    private readonly ModelGuest _guest = new(new Random(2));
    private readonly List<ImageAttempt> _attempts = [];

    public void Dispose() => _attempts.ForEach(attempt => attempt.Dispose());

    [Fact]
    public void A_journal_that_is_damaged_is_begun_anew_also_when_the_first_try_at_that_fails()
    {
        NewAttempt().Create(_guest, Token(1));
        EndProcess();
        var journal = _storage.Read(_paths.Journal);
        journal[journal.Length / 2] ^= 1;
        _storage.Put(_paths.Journal, journal);

        var attempt = NewAttempt();
        _storage.Fault = call => call == "fsync" ? Errno.ENOSPC : Errno.None;
        Assert.Equal(ImageFault.NoSpace, Assert.Throws<ImageException>(() => attempt.Resume(_guest, Token(2), hasBegun: true)).Fault);
        _storage.Fault = _ => Errno.None;
        attempt.Resume(_guest, Token(2), hasBegun: true);
        Assert.All(attempt.Engines, engine => Assert.Equal(engine.Layout.PageCount, engine.Snapshot().Dirty));
        Assert.Contains("every page is written again", Assert.Single(attempt.Notes), StringComparison.Ordinal);
    }

    [Fact]
    public void A_journal_that_is_gone_is_not_taken_for_one_that_never_was()
    {
        NewAttempt().Create(_guest, Token(1));
        EndProcess();
        _storage.Remove(_paths.Journal);
        Assert.Equal(ImageFault.Stale, Assert.Throws<ImageException>(() => NewAttempt().Resume(_guest, Token(2), hasBegun: true)).Fault);
    }

    [Fact]
    public void A_coordinator_whose_token_is_too_low_is_told_which_one_is_in_force()
    {
        NewAttempt().Create(_guest, Token(7));
        EndProcess();
        var attempt = NewAttempt();
        Assert.Equal(ImageFault.Fenced, Assert.Throws<ImageException>(() => attempt.Resume(_guest, Token(7), hasBegun: true)).Fault);
        Assert.Equal(7, attempt.TokenInForce);
        attempt.Resume(_guest, Token(8), hasBegun: true);
    }

    [Fact]
    public void A_coordinator_that_was_overtaken_does_not_begin_anew_what_a_later_one_has_written()
    {
        NewAttempt().Create(_guest, Token(7));
        EndProcess();
        Assert.Equal(ImageFault.Fenced, Assert.Throws<ImageException>(() => NewAttempt().Create(_guest, Token(6))).Fault);
        NewAttempt().Resume(_guest, Token(8), hasBegun: true);
    }

    private static JournalToken Token(long number) => new(number, Guid.NewGuid());

    private void EndProcess()
    {
        _attempts.ForEach(attempt => attempt.Dispose());
        _attempts.Clear();
        _storage.Kill();
    }

    private ImageAttempt NewAttempt()
    {
        var attempt = new ImageAttempt(
            new SavePlan(
                "mig-1", "host-a", "vm1", "/run/vm1.sock", _paths.Image, Overwrite: false, AfterPublication.Pause,
                new WriterOptions { Writers = 0, EpochBytes = long.MaxValue, EpochTime = TimeSpan.MaxValue }, LaunchFolder: "", Request: ""),
            TimeProvider.System,
            _storage);
        _attempts.Add(attempt);
        return attempt;
    }
}
