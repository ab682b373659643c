using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class StorageRootsTests : IDisposable
{
    private readonly TestFolder _folder = new();
    private readonly StorageRoots _roots;

    public StorageRootsTests()
    {
        Directory.CreateDirectory(_folder["img/sub"]);
        Directory.CreateDirectory(_folder["img2"]);
        _roots = new StorageRoots([_folder["img"]]);
    }

    [Theory]
    [InlineData("img/a.image", "img/a.image")]
    [InlineData("img/sub/a.image", "img/sub/a.image")]
    [InlineData("img/sub/../a.image", "img/a.image")]
    [InlineData("img//./a.image", "img/a.image")]
    [InlineData("img2/../img/a.image", "img/a.image")]
    public void A_path_below_a_root_is_given_back_in_its_plain_form(string path, string plain) =>
        Assert.Equal(_folder[plain], _roots.Resolve(_folder[path]));

    [Theory]
    [InlineData("img2/a.image")]
    [InlineData("a.image")]
    [InlineData("img/../a.image")]
    [InlineData("img/../img2/a.image")]
    [InlineData("img/sub/../../a.image")]
    [InlineData("img")]
    [InlineData("img/")]
    [InlineData("img/sub")]
    [InlineData("img/new.image/")]
    [InlineData("/")]
    [InlineData("img/a\0b")]
    public void A_path_outside_or_of_a_folder_is_refused(string path) =>
        Assert.Equal(ImageFault.OutsideRoots, Refused(_folder.Path + "/" + path));

    [Theory]
    [InlineData("")]
    [InlineData("img/a.image")]
    [InlineData("./a.image")]
    [InlineData("~/a.image")]
    public void A_path_that_does_not_begin_at_the_root_is_refused(string path) => Assert.Equal(ImageFault.OutsideRoots, Refused(path));

    [Fact]
    public void A_folder_that_does_not_exist_is_told_as_such() => Assert.Equal(ImageFault.NotFound, Refused(_folder["img/no/a.image"]));

    [Fact]
    public void A_link_that_leads_out_of_the_roots_is_refused()
    {
        File.CreateSymbolicLink(_folder["img/out"], _folder["img2"]);
        File.CreateSymbolicLink(_folder["img/up"], "../img2");
        Assert.Equal(ImageFault.OutsideRoots, Refused(_folder["img/out/a.image"]));
        Assert.Equal(ImageFault.OutsideRoots, Refused(_folder["img/up/a.image"]));
    }

    [Fact]
    public void A_link_that_leads_into_a_root_is_followed()
    {
        File.CreateSymbolicLink(_folder["in"], _folder["img"]);
        File.CreateSymbolicLink(_folder["img/to-sub"], "sub");
        Assert.Equal(_folder["img/a.image"], _roots.Resolve(_folder["in/a.image"]));
        Assert.Equal(_folder["img/sub/a.image"], _roots.Resolve(_folder["in/to-sub/a.image"]));
    }

    [Fact]
    public void An_image_that_is_itself_a_link_is_judged_by_where_it_leads()
    {
        File.CreateSymbolicLink(_folder["img/secret.image"], _folder.Write("secret", "x"));
        File.CreateSymbolicLink(_folder["img/new.image"], _folder["img2/not-yet"]);
        File.CreateSymbolicLink(_folder["img/latest.image"], "sub/a.image");
        Assert.Equal(ImageFault.OutsideRoots, Refused(_folder["img/secret.image"]));
        Assert.Equal(ImageFault.OutsideRoots, Refused(_folder["img/new.image"]));
        Assert.Equal(_folder["img/sub/a.image"], _roots.Resolve(_folder["img/latest.image"]));
    }

    [Fact]
    public void Links_that_go_in_a_circle_are_refused()
    {
        File.CreateSymbolicLink(_folder["img/a"], _folder["img/b"]);
        File.CreateSymbolicLink(_folder["img/b"], _folder["img/a"]);
        Assert.Equal(ImageFault.Storage, Refused(_folder["img/a/x.image"]));

        // Each leads through the other, which the kernel notices and a plain walk does not.
        File.CreateSymbolicLink(_folder["img/c"], _folder["img/d/x"]);
        File.CreateSymbolicLink(_folder["img/d"], _folder["img/c/y"]);
        Assert.Equal(ImageFault.Storage, Refused(_folder["img/c"]));
    }

    [Theory]
    [InlineData("img/")]
    [InlineData("img/.")]
    [InlineData("img2/../img")]
    public void A_root_may_be_written_in_any_form(string root) =>
        Assert.Equal(_folder["img/a.image"], new StorageRoots([_folder.Path + "/" + root]).Resolve(_folder["img/a.image"]));

    [Fact]
    public void A_root_may_be_a_link_or_the_whole_tree_or_not_exist_yet()
    {
        File.CreateSymbolicLink(_folder["root"], _folder["img"]);
        Assert.Equal(_folder["img/a.image"], new StorageRoots([_folder["root"]]).Resolve(_folder["root/a.image"]));
        Assert.Equal(_folder["img2/a.image"], new StorageRoots(["/"]).Resolve(_folder["img2/a.image"]));
        Assert.Equal(_folder["img/a.image"], new StorageRoots([_folder["no/such"], _folder["img"]]).Resolve(_folder["img/a.image"]));
    }

    [Fact]
    public void The_root_of_an_image_is_the_innermost_one_with_its_links_followed()
    {
        File.CreateSymbolicLink(_folder["root"], _folder["img"]);
        var roots = new StorageRoots(["/", _folder["root"], _folder["img/sub"], _folder["img/su"]]);
        Assert.Equal(_folder["img"], roots.RootOf(_folder["img/a.image"]));
        Assert.Equal(_folder["img/sub"], roots.RootOf(_folder["img/sub/a.image"]));
        Assert.Equal("/", roots.RootOf(_folder["img2/a.image"]));
    }

    [Fact]
    public void Without_roots_nothing_is_allowed() =>
        Assert.Throws<ImageException>(() => new StorageRoots([]).Resolve(_folder["img/a.image"]));

    public void Dispose() => _folder.Dispose();

    private ImageFault Refused(string path) => Assert.Throws<ImageException>(() => _roots.Resolve(path)).Fault;
}
