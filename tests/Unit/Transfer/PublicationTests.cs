using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class PublicationTests : IDisposable
{
    private readonly TestFolder _folder = new();

    private ImagePaths Paths => new(_folder["guest.image"]);

    [Fact]
    public void An_existing_name_is_refused_and_kept_unless_it_may_be_replaced()
    {
        File.WriteAllText(Paths.Image, "old");
        File.WriteAllText(Paths.Manifest, "old manifest");
        using var image = MakePartial();
        Assert.Equal(ImageFault.Exists, Refused(() => new Publication(Paths, overwrite: false).Publish(image, default)));
        Assert.Equal("old", File.ReadAllText(Paths.Image));
        Assert.Equal("old manifest", File.ReadAllText(Paths.Manifest));
        Assert.True(image.IsAt(Paths.Partial));

        var publication = new Publication(Paths, overwrite: true);
        publication.Publish(image, default);
        Assert.True(publication.IsPublished);
        Assert.True(image.IsAt(Paths.Image));
        Assert.Equal("new manifest", File.ReadAllText(Paths.Manifest));
        Assert.Equal(["guest.image", "guest.image.checksums", "guest.image.manifest.json"], Names());
    }

    [Fact]
    public void When_a_side_file_cannot_be_named_the_image_that_was_to_be_replaced_stands_there_again_with_its_own()
    {
        File.WriteAllText(Paths.Image, "old");
        File.WriteAllText(Paths.Manifest, "old manifest");
        using var image = MakePartial();
        File.Delete(Paths.PartialChecksums);
        var publication = new Publication(Paths, overwrite: true);
        Assert.Throws<ImageException>(() => publication.Publish(image, default));
        Assert.False(publication.IsPublished);
        Assert.Equal("old", File.ReadAllText(Paths.Image));
        Assert.Equal("old manifest", File.ReadAllText(Paths.Manifest));
        Assert.True(image.IsAt(Paths.Partial));
        Assert.Equal(["guest.image", "guest.image.manifest.json", "guest.image.partial", "guest.image.partial.manifest.json"], Names());
    }

    [Fact]
    public void A_replaced_partial_image_is_not_published()
    {
        using var image = MakePartial();
        File.Delete(Paths.Partial);
        File.WriteAllText(Paths.Partial, "other");
        Assert.Equal(ImageFault.Replaced, Refused(() => new Publication(Paths, overwrite: false).Publish(image, default)));
        Assert.False(File.Exists(Paths.Image));
    }

    [Fact]
    public void Once_aborted_or_interrupted_nothing_is_published()
    {
        using var image = MakePartial();
        var publication = new Publication(Paths, overwrite: false);
        Assert.Throws<OperationCanceledException>(() => publication.Publish(image, new CancellationToken(canceled: true)));
        Assert.True(publication.Abort());
        Assert.Throws<OperationCanceledException>(() => publication.Publish(image, default));
        Assert.False(File.Exists(Paths.Image));
    }

    [Fact]
    public void Once_published_it_is_not_aborted()
    {
        using var image = MakePartial();
        var publication = new Publication(Paths, overwrite: false);
        publication.Publish(image, default);
        Assert.False(publication.Abort());
        Assert.True(publication.IsPublished);
    }

    [Fact]
    public void What_a_dead_process_set_aside_gets_its_name_back_where_that_is_free()
    {
        File.WriteAllText(Paths.Image, "new");
        File.WriteAllText(Paths.Image + ".previous", "old");
        File.WriteAllText(Paths.Manifest + ".previous", "old manifest");
        NameChange.Recover(HostFileSystem.Instance, [Paths.Image, Paths.Manifest]);
        Assert.Equal("new", File.ReadAllText(Paths.Image));
        Assert.Equal("old manifest", File.ReadAllText(Paths.Manifest));
        Assert.Equal(["guest.image", "guest.image.manifest.json"], Names());
    }

    [Fact]
    public void An_unpublished_image_that_kept_its_final_name_loses_it_to_the_one_that_it_replaced()
    {
        using var image = MakePartial();
        File.Move(Paths.Partial, Paths.Image);
        File.Move(Paths.PartialManifest, Paths.Manifest);
        File.WriteAllText(Paths.Image + ".previous", "old");
        File.WriteAllText(Paths.Manifest + ".previous", "old manifest");
        for (var time = 0; time < 2; time++)
        {
            Publication.Withdraw(Paths, image.Identity.Inode, HostFileSystem.Instance);
            Assert.True(image.IsAt(Paths.Partial));
            Assert.Equal("old", File.ReadAllText(Paths.Image));
            Assert.Equal("old manifest", File.ReadAllText(Paths.Manifest));
        }

        image.FSync();
        Assert.Equal(["guest.image", "guest.image.manifest.json", "guest.image.partial", "guest.image.partial.checksums"], Names());
    }

    public void Dispose() => _folder.Dispose();

    private static ImageFault Refused(Action action) => Assert.Throws<ImageException>(action).Fault;

    private ImageFile MakePartial()
    {
        File.WriteAllText(Paths.PartialManifest, "new manifest");
        File.WriteAllText(Paths.PartialChecksums, "new checksums");
        return ImageFile.Create(Paths.Partial, 1 << 20, DirectIoChoice.Off, Watch.Impatient());
    }

    private string[] Names() => [.. Directory.GetFiles(_folder.Path).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal)];
}
