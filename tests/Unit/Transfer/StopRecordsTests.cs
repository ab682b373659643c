using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class StopRecordsTests : IDisposable
{
    private readonly TestFolder _folder = new();

    private StopRecords Records => new(_folder["stopped"], TimeProvider.System);

    private string Image => _folder["guest.image"];

    [Fact]
    public async Task A_published_image_is_known_by_its_inode_and_its_record_kept()
    {
        var partial = Libc.Identify(_folder.Write("guest.image.partial", "image"));
        Records.Write(Record("mig", partial));
        File.Move(Image + ".partial", Image);
        Assert.True(await Records.SettleAsync("mig", CancellationToken.None));
        Assert.Empty(await RestoreAllAsync());
        Assert.True(await Records.SettleAsync("mig", CancellationToken.None));
        Records.Forget("mig");
        Assert.False(await Records.SettleAsync("mig", CancellationToken.None));
    }

    [Fact]
    public async Task A_publication_that_was_cut_off_before_the_manifest_got_its_name_is_finished()
    {
        var partial = Libc.Identify(_folder.Write("guest.image.partial", "image"));
        _folder.Write("guest.image.partial.manifest.json", "manifest");
        Records.Write(Record("mig", partial));
        File.Move(Image + ".partial", Image);
        Assert.True(await Records.SettleAsync("mig", CancellationToken.None));
        Assert.Equal("manifest", await File.ReadAllTextAsync(Image + ".manifest.json"));
        Assert.False(File.Exists(Image + ".partial.manifest.json"));
    }

    [Fact]
    public async Task What_was_saved_of_an_unpublished_image_is_kept()
    {
        var partial = Libc.Identify(_folder.Write("guest.image.partial", "image"));
        _folder.Write("guest.image", "an older image");
        Records.Write(Record("mig", partial));
        Assert.Equal(["mig: restored"], await RestoreAllAsync());
        Assert.Equal([Image, Image + ".partial"], Directory.GetFiles(_folder.Path).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_partial_image_that_another_writes_by_now_is_left_alone()
    {
        var partial = Libc.Identify(_folder.Write("guest.image.partial", "ours"));
        Records.Write(Record("mig", partial with { Inode = partial.Inode + 1 }));
        Assert.False(await Records.SettleAsync("mig", CancellationToken.None));
        Assert.Equal("ours", await File.ReadAllTextAsync(Image + ".partial"));
    }

    [Fact]
    public async Task A_guest_is_given_its_run_state_back_once_and_not_again_at_the_next_start()
    {
        Records.Write(Record("mig", default));
        Assert.Equal(["mig: restored"], await RestoreAllAsync());
        Assert.Empty(await RestoreAllAsync());
    }

    [Fact]
    public async Task A_guest_that_does_not_answer_is_reported_and_tried_again_at_the_next_start()
    {
        Records.Write(Record("mig", default) with { Process = ThisProcess.Identity("host-a") });
        Assert.Equal(["mig: GuestException"], await RestoreAllAsync());
        Assert.Equal(["mig: GuestException"], await RestoreAllAsync());
    }

    [Theory]
    [InlineData("not json")]
    [InlineData("")]
    [InlineData("null")]
    [InlineData("{}")]
    [InlineData("""{"migration":"a-bad","guest":"vm1","was-running":true,"image-path":"/nowhere/x"}""")]
    public async Task A_damaged_record_is_reported_and_does_not_keep_the_other_guests_from_being_restored(string damaged)
    {
        Records.Write(Record("z-good", default));
        _folder.Write("stopped/a-bad.json", damaged);
        Assert.Equal(["a-bad: ImageException", "z-good: restored"], await RestoreAllAsync());
    }

    [Fact]
    public async Task Storage_that_does_not_tell_whether_an_image_is_published_does_not_keep_the_other_guests_from_being_restored()
    {
        // A name of 256 bytes is an error of another kind than one that does not exist.
        Records.Write(Record("a-bad", default) with { ImagePath = _folder[new string('x', 256)] });
        Records.Write(Record("z-good", default));
        Assert.Equal(["a-bad: ImageException", "z-good: restored"], await RestoreAllAsync());
    }

    [Fact]
    public async Task Without_a_folder_there_is_nothing_to_restore()
    {
        Assert.Empty(await RestoreAllAsync());
        Records.Forget("mig");
        Assert.False(await Records.SettleAsync("mig", CancellationToken.None));
    }

    public void Dispose() => _folder.Dispose();

    private StopRecord Record(string migration, FileIdentity partial) => new(
        migration, "vm1", _folder["no.sock"], new ProcessIdentity("host-a", int.MaxValue, 1), WasRunning: true, Image, partial.Device, partial.Inode, IsPublishing: true);

    private async Task<List<string>> RestoreAllAsync()
    {
        List<string> reports = [];
        await Records.RestoreAllAsync(
            (migration, record, error) =>
            {
                Assert.True(record is not null || error is not null);
                reports.Add($"{migration}: {error?.GetType().Name ?? "restored"}");
            },
            CancellationToken.None);
        reports.Sort(StringComparer.Ordinal);
        return reports;
    }
}
