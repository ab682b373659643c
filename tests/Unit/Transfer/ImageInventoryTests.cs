using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class ImageInventoryTests : IDisposable
{
    private const int Bytes = 64 * 1024;

    private readonly TestFolder _folder = new();

    [Fact]
    public async Task Images_count_as_published_under_way_or_left_over_and_what_only_looks_like_one_does_not()
    {
        Image("done.img");
        Write("done.img.manifest.json");
        Write("done.img.checksums");
        Directory.CreateDirectory(_folder["deep/er"]);
        Image("deep/er/busy.img.partial");
        Write("deep/er/busy.img.journal");
        Image("old.img.partial");

        // A download, an image that nobody published, and a manifest without image.
        Write("film.mkv.partial");
        Image("bare.img");
        Write("gone.img.manifest.json");

        var space = Assert.Single(await new ImageInventory(
            [_folder.Path],
            [new("m-1", "vm", _folder["deep/er/busy.img"], "active", IsUnfinished: true), new("m-2", "vm", _folder["old.img"], "failed", IsUnfinished: false)])
            .MeasureAsync(CancellationToken.None));
        Assert.Equal((2 * Bytes, 3 * Bytes, Bytes), (space.Active, space.Complete, space.Orphan));
    }

    [Fact]
    public async Task A_root_that_is_not_there_holds_nothing() => Assert.Equal(
        [new ImageSpace(_folder["none"], 0, 0, 0)], await new ImageInventory([_folder["none"]], []).MeasureAsync(CancellationToken.None));

    public void Dispose() => _folder.Dispose();

    private void Image(string name) => File.WriteAllBytes(_folder[name], [(byte)'Q', (byte)'E', (byte)'V', (byte)'M', .. new byte[Bytes - 4]]);

    private void Write(string name) => File.WriteAllBytes(_folder[name], new byte[Bytes]);
}
