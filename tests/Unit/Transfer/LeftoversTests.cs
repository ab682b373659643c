using DistMigrate.Posix;
using DistMigrate.Tests.Unit.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class LeftoversTests : IDisposable
{
    private readonly TestFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Everything_that_a_save_left_is_found_and_tells_its_migration()
    {
        var paths = WriteAll("web.img");
        var found = Find();
        Assert.Equal(paths.Order(StringComparer.Ordinal), found.Select(file => file.Path));
        Assert.All(found, file => Assert.Equal(("m-1", "guest \"ü\"", false, false), (file.Migration, file.Guest, file.IsOwned, file.IsRemoved)));
        Assert.All(found, file => Assert.Contains("m-1 of host host-a is not known here", file.Remark, StringComparison.Ordinal));
        Assert.All(found, file => Assert.InRange(file.Changed, DateTimeOffset.UnixEpoch.AddYears(50), DateTimeOffset.MaxValue));
        Assert.All(found, file => Assert.True(file.Bytes > 0));
    }

    [Fact]
    public void What_is_left_of_a_migration_that_has_ended_has_no_remark() =>
        Assert.All(FindAfter(() => WriteAll("web.img"), Save("m-1", "/elsewhere.img", isUnfinished: false)), file => Assert.Equal((false, ""), (file.IsOwned, file.Remark)));

    [Theory]
    [InlineData("m-1", "/elsewhere.img")]
    [InlineData("m-2", null)]
    public void What_an_unfinished_migration_needs_is_owned_by_its_id_or_by_its_image(string migration, string? image)
    {
        var save = Save(migration, image ?? _folder["web.img"], isUnfinished: true);
        var found = FindAfter(() => WriteAll("web.img"), save);
        Assert.NotEmpty(found);
        Assert.All(found, file => Assert.True(file.IsOwned));
        Assert.All(found, file => Assert.Contains($"Migration {migration} of guest web (paused)", file.Remark, StringComparison.Ordinal));
        Assert.All(Remove([save], [.. found.Select(file => file.Path)]), file => Assert.False(file.IsRemoved));
        Assert.All(found, file => Assert.True(File.Exists(file.Path)));
    }

    [Theory]
    [InlineData("web.img.partial")]
    [InlineData("web.img.journal")]
    [InlineData("web.img.journal.new")]
    public void A_lock_of_a_living_process_makes_all_files_of_the_image_owned(string locked)
    {
        var paths = WriteAll("web.img");
        WriteAll("other.img");
        using (var file = Libc.Open(_folder[locked], OpenFlags.ReadWrite))
        {
            Assert.True(Libc.TryLock(file));
            Assert.Equal(paths.Order(StringComparer.Ordinal), Find().Where(found => found.IsOwned).Select(found => found.Path));
            var kept = Assert.Single(Remove([], _folder["web.img.partial"]));
            Assert.Contains("A living process holds", kept.Remark, StringComparison.Ordinal);
            Assert.True(File.Exists(_folder["web.img.partial"]));
        }

        // A program that another test is just starting has our descriptors until it runs.
        Assert.True(SpinWait.SpinUntil(() => Assert.Single(Remove([], _folder["web.img.partial"])).IsRemoved, TimeSpan.FromSeconds(10)));
        Assert.False(File.Exists(_folder["web.img.partial"]));
    }

    [Fact]
    public void Looking_leaves_no_lock_behind()
    {
        WriteAll("web.img");
        Find();
        using var file = Libc.Open(_folder["web.img.partial"], OpenFlags.ReadWrite);
        Assert.True(Libc.TryLock(file));
    }

    [Fact]
    public void All_that_was_found_can_be_removed_in_any_order()
    {
        var paths = WriteAll("web.img");
        var bystander = _folder.Write("web.img", "published");
        Assert.All(Remove([], [.. paths.Order(StringComparer.Ordinal)]), file => Assert.Equal((true, false), (file.IsRemoved, file.IsOwned)));
        Assert.All(paths, path => Assert.False(File.Exists(path)));
        Assert.True(File.Exists(bystander));
        Assert.Empty(Find());
    }

    [Theory]
    [InlineData("download.partial")]
    [InlineData("system.journal")]
    [InlineData("system.journal.new")]
    [InlineData("notes.previous")]
    [InlineData(".partial")]
    [InlineData("web.img")]
    [InlineData("web.img.checksums")]
    [InlineData("web.img.manifest.json")]
    [InlineData("web.img.claim.1")]
    [InlineData("x.0123456789abcdef0123456789abcdef")]
    public void Files_of_other_programs_and_of_published_images_are_neither_found_nor_removed(string name)
    {
        _folder.Write(name, "hello");
        Assert.Empty(Find());
        Assert.False(Assert.Single(Remove([], _folder[name])).IsRemoved);
        Assert.True(File.Exists(_folder[name]));
    }

    [Fact]
    public void What_two_hosts_of_a_move_looked_for_is_found_and_can_be_removed_unless_the_move_goes_on()
    {
        string[] paths = [_folder["web.img.probe.m-1m8cht6mya4sc0"], _folder["web.img.probe.m-1m8cht6mya4sc0.target"]];
        foreach (var path in paths)
            File.WriteAllText(path, "x");
        File.WriteAllText(_folder["web.img.probe.notes"], "x");
        var owned = new Leftovers([_folder.Path], [Save("m-1m8cht6mya4sc0", _folder["web.img"], isUnfinished: true)]).Find(CancellationToken.None);
        Assert.Equal(paths, owned.Select(file => file.Path));
        Assert.All(owned, file => Assert.True(file.IsOwned));
        Assert.All(Find(), file => Assert.Equal(("m-1m8cht6mya4sc0", false), (file.Migration, file.IsOwned)));
        Assert.All(Remove([], paths), file => Assert.True(file.IsRemoved));
        Assert.Equal([_folder["web.img.probe.notes"]], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_damaged_journal_is_told_and_its_migration_is_not()
    {
        var journal = new JournalScript(JournalScript.NewIdentity()).Seal().Bytes;
        journal[100] ^= 1;
        File.WriteAllBytes(_folder["web.img.journal"], journal);
        var found = Assert.Single(Find());
        Assert.Equal(("", false), (found.Migration, found.IsOwned));
        Assert.Contains("damaged", found.Remark, StringComparison.Ordinal);
    }

    [Fact]
    public void A_torn_journal_still_tells_its_migration()
    {
        var script = new JournalScript(JournalScript.NewIdentity()).Seal();
        File.WriteAllBytes(_folder["web.img.journal"], script.Data(0, new(0, 60), 1).Bytes[..^7]);
        Assert.Equal("m-1", Assert.Single(Find()).Migration);
    }

    [Fact]
    public void An_empty_journal_counts_beside_a_partial_image_only()
    {
        _folder.Write("web.img.journal", "");
        Assert.Empty(Find());
        WriteImage("web.img.partial");
        Assert.Equal([_folder["web.img.journal"], _folder["web.img.partial"]], Find().Select(file => file.Path));
    }

    [Fact]
    public void What_was_set_aside_stays_unless_a_cut_off_save_shows_that_it_was_and_its_name_is_taken()
    {
        WriteImage("web.img.previous");
        AssertKept("may be all that is left of it");
        WriteImage("web.img");
        AssertKept("a copy that somebody made");
        File.WriteAllBytes(_folder["web.img.journal"], new JournalScript(JournalScript.NewIdentity()).Seal().Bytes);
        Assert.False(Find().Single(file => file.Path == _folder["web.img.previous"]).IsOwned);
        Assert.True(Assert.Single(Remove([], _folder["web.img.previous"])).IsRemoved);

        void AssertKept(string why)
        {
            var kept = Assert.Single(Find());
            Assert.True(kept.IsOwned);
            Assert.Contains(why, kept.Remark, StringComparison.Ordinal);
            Assert.False(Assert.Single(Remove([], kept.Path)).IsRemoved);
            Assert.True(File.Exists(kept.Path));
        }
    }

    [Fact]
    public void A_second_name_of_the_published_image_may_go()
    {
        WriteImage("web.img");
        Libc.Link(_folder["web.img"], _folder["web.img.previous"]);
        Assert.False(Assert.Single(Find()).IsOwned);
    }

    [Fact]
    public void Links_are_not_followed_and_not_removed()
    {
        Directory.CreateDirectory(_folder["root"]);
        WriteImage("web.img.partial");
        File.CreateSymbolicLink(_folder["root/web.img.partial"], _folder["web.img.partial"]);
        Directory.CreateSymbolicLink(_folder["root/out"], _folder.Path);
        Assert.Empty(new Leftovers([_folder["root"]], []).Find(CancellationToken.None));
        foreach (var path in new[] { _folder["root/web.img.partial"], _folder["root/out/web.img.partial"], _folder["web.img.partial"], _folder["root/../web.img.partial"] })
            Assert.False(new Leftovers([_folder["root"]], []).Remove(path).IsRemoved);
        Assert.True(File.Exists(_folder["web.img.partial"]));
    }

    [Fact]
    public void A_root_that_is_reached_by_a_link_gives_real_paths_once()
    {
        Directory.CreateDirectory(_folder["real/sub"]);
        WriteImage("real/sub/web.img.partial");
        Directory.CreateSymbolicLink(_folder["link"], _folder["real"]);
        var leftovers = new Leftovers([_folder["link"], _folder["real"], _folder["real/sub"]], []);
        Assert.Equal([_folder["real/sub/web.img.partial"]], leftovers.Find(CancellationToken.None).Select(file => file.Path));
        Assert.True(leftovers.Remove(_folder["real/sub/web.img.partial"]).IsRemoved);
    }

    [Fact]
    public void Eight_folders_below_a_root_are_looked_at_and_no_more()
    {
        var deep = string.Join('/', Enumerable.Repeat("d", 8));
        Directory.CreateDirectory(_folder[deep + "/d"]);
        WriteImage(deep + "/web.img.partial");
        WriteImage(deep + "/d/web.img.partial");
        Assert.Equal([_folder[deep + "/web.img.partial"]], Find().Select(file => file.Path));
    }

    [Fact]
    public void A_root_that_does_not_exist_is_no_error_and_one_that_cannot_be_read_is_told()
    {
        WriteImage("web.img.partial");
        // The kernel takes no name of this length, whoever asks.
        var unreadableRoot = _folder[new string('x', 300)];
        var found = new Leftovers([_folder["nowhere"], unreadableRoot, _folder.Path], []).Find(CancellationToken.None);
        Assert.Equal(2, found.Count);
        var unreadable = found.Single(file => file.IsOwned);
        Assert.Equal(unreadableRoot, unreadable.Path);
        Assert.Contains("1 folder(s) below it could not be read", unreadable.Remark, StringComparison.Ordinal);
    }

    [Fact]
    public void More_than_a_thousand_are_cut_off_with_a_remark()
    {
        for (var i = 0; i < 1010; i++)
            _folder.Write($"{i}.img.partial.probe", "");
        var found = Find();
        Assert.Equal(1001, found.Count);
        Assert.Contains("more than 1000", found.Single(file => file.Path == _folder.Path).Remark, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_cancelled_look_ends()
    {
        using var cancelled = new CancellationTokenSource();
        await cancelled.CancelAsync();
        WriteImage("web.img.partial");
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => new Leftovers([_folder.Path], []).FindAsync(cancelled.Token));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => new Leftovers([_folder.Path], []).RemoveAsync([_folder["web.img.partial"]], cancelled.Token));
        Assert.True(File.Exists(_folder["web.img.partial"]));
    }

    private static KnownSave Save(string migration, string image, bool isUnfinished) => new(migration, "web", image, isUnfinished ? "paused" : "failed", isUnfinished);

    private IReadOnlyList<LeftoverFile> Find() => new Leftovers([_folder.Path], []).Find(CancellationToken.None);

    private IReadOnlyList<LeftoverFile> FindAfter(Action write, KnownSave save)
    {
        write();
        return new Leftovers([_folder.Path], [save]).Find(CancellationToken.None);
    }

    private IReadOnlyList<LeftoverFile> Remove(IReadOnlyList<KnownSave> saves, params string[] paths) =>
        [.. paths.Select(new Leftovers([_folder.Path], saves).Remove)];

    private string WriteImage(string name)
    {
        File.WriteAllBytes(_folder[name], TestImage.Compose().Bytes);
        return _folder[name];
    }

    /// <summary>One file of each sort, but those that were set aside.</summary>
    private string[] WriteAll(string image)
    {
        var journal = new JournalScript(JournalScript.NewIdentity() with { ImagePath = _folder[image] }).Seal().Bytes;
        foreach (var ending in new[] { ".journal", ".journal.new", ".partial.checksums" })
            File.WriteAllBytes(_folder[image + ending], journal);
        return
        [
            WriteImage(image + ".partial"),
            _folder[image + ".journal"],
            _folder[image + ".journal.new"],
            _folder[image + ".partial.checksums"],
            _folder.Write(image + ".partial.manifest.json", "{}"),
            _folder.Write(image + ".partial.manifest.json.0123456789abcdef0123456789abcdef", "{"),
            _folder.Write(image + ".partial.probe", "x"),
        ];
    }
}
