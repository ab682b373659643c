using DistMigrate.MappedRam.Journal;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>What an attempt does with what a silo that has ended left of its migration.</summary>
public sealed class SaveAttemptTests : IAsyncDisposable
{
    private const string Migration = "mig-1";

    private readonly TestFolder _folder = new();
    private readonly StopRecords _stops;
    private readonly SaveAttempt _attempt;

    public SaveAttemptTests()
    {
        _stops = new StopRecords(_folder["stops"], TimeProvider.System);
        _attempt = new SaveAttempt(
            new SavePlan(
                Migration, "host-a", "vm1", _folder["qmp"], _folder["guest.image"], Overwrite: false, AfterPublication.HandOver, new WriterOptions(), LaunchFolder: "",
                Request: ""),
            _stops, _folder["run"], (_, _, _, _) => throw new InvalidOperationException("Nobody is to ask the guest."), TimeProvider.System);
    }

    public async ValueTask DisposeAsync()
    {
        await _attempt.DisposeAsync();
        _folder.Dispose();
    }

    [Fact]
    public async Task An_image_that_an_earlier_silo_published_is_found_by_whoever_opens_it_anew()
    {
        _stops.Write(RecordOf(isPublished: true));
        var image = _folder.Write("guest.image", "published");
        Assert.Equal(
            ImageFault.Published, (await Assert.ThrowsAsync<ImageException>(() => _attempt.OpenAsync(new JournalToken(1, Guid.NewGuid()), CancellationToken.None))).Fault);
        await _attempt.SuspendAsync(new OperationCanceledException(), CancellationToken.None);
        Assert.True(_attempt.IsPublished);
        Assert.Equal("published", await File.ReadAllTextAsync(image));
        Assert.NotNull(_stops.Find(Migration));
    }

    [Fact]
    public async Task An_image_that_an_earlier_silo_published_outlives_the_end_of_an_attempt_that_knows_nothing_of_it()
    {
        _stops.Write(RecordOf(isPublished: true));
        var image = _folder.Write("guest.image", "published");
        await _attempt.AbortAsync(CancellationToken.None);
        Assert.True(_attempt.IsPublished);
        Assert.True(File.Exists(image));
    }

    [Fact]
    public async Task What_an_earlier_silo_did_not_publish_is_settled_by_an_interruption()
    {
        _stops.Write(RecordOf(isPublished: false));
        await _attempt.SuspendAsync(new OperationCanceledException(), CancellationToken.None);
        Assert.False(_attempt.IsPublished);
        Assert.Null(_stops.Find(Migration));
    }

    /// <summary>Of a QEMU that has ended.</summary>
    private StopRecord RecordOf(bool isPublished) => new(
        Migration, "vm1", _folder["qmp"], new ProcessIdentity("host-a", int.MaxValue, 1), WasRunning: true, _folder["guest.image"], Device: 1, Inode: 1,
        IsPublishing: isPublished, IsPublished: isPublished);
}
