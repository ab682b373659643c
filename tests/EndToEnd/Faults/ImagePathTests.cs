using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Saves to places where no image may come to lie.</summary>
public sealed class ImagePathTests(FaultBench bench) : IClassFixture<FaultBench>
{
    private const int Refused = 3;
    private const int NotFound = 6;
    private const int Storage = 10;

    public static TheoryData<string> Outside => ["/etc/distmigrate-test.img", "../outside.img", "folder/../../outside.img", "link/outside.img", "link/../outside.img"];

    [RequiresQemuTheory]
    [MemberData(nameof(Outside))]
    public async Task An_image_outside_the_storage_roots_is_refused_by_whatever_way_the_path_leads_there(string path)
    {
        var outside = Directory.CreateTempSubdirectory("dm-outside-").FullName;
        Directory.CreateDirectory(bench.Product.Image("folder"));
        var link = bench.Product.Image("link");
        File.Delete(link);
        Directory.CreateSymbolicLink(link, outside);
        var before = FolderState.Of(bench.Images);
        try
        {
            var image = path == "link/../outside.img" ? $"{link}/../outside.img" : Path.Combine(bench.Images, path);
            var result = await bench.SaveAsync(image);
            if (path == "link/../outside.img" && result.ExitCode == 0)
            {
                // Taken by its letters, ".." leads from the link back into the root: then that is where the image must lie.
                Assert.True(File.Exists(bench.Product.Image("outside.img")), result.ToString());
                await (await bench.GuestAsync()).ContinueAsync();
                File.Delete(bench.Product.Image("outside.img"));
                File.Delete(bench.Product.Image("outside.img.manifest.json"));
                File.Delete(bench.Product.Image("outside.img.checksums"));
            }
            else
            {
                await bench.ExpectHarmlessAsync(result, Refused, before, "not below a storage root", bench.Images);
            }

            Assert.Empty(Directory.EnumerateFileSystemEntries(outside));
            Assert.False(File.Exists(Path.Combine(Path.GetDirectoryName(outside)!, "outside.img")));
        }
        finally
        {
            File.Delete(link);
            Directory.Delete(outside, recursive: true);
        }
    }

    [RequiresQemuFact]
    public async Task An_image_whose_name_is_a_link_out_of_the_storage_root_is_refused_and_what_the_link_leads_to_stays()
    {
        var outside = Directory.CreateTempSubdirectory("dm-outside-").FullName;
        var victim = Path.Combine(outside, "precious");
        await File.WriteAllTextAsync(victim, "precious");
        var link = bench.Product.Image("linked.img");
        File.CreateSymbolicLink(link, victim);
        try
        {
            var before = FolderState.Of(bench.Images);
            await bench.ExpectHarmlessAsync(await bench.SaveAsync(link), Refused, before, "not below a storage root");
            await bench.ExpectHarmlessAsync(await bench.SaveAsync(link, "--force"), Refused, before, "not below a storage root");
            Assert.Equal("precious", await File.ReadAllTextAsync(victim));
            Assert.Equal([victim], Directory.EnumerateFileSystemEntries(outside));
        }
        finally
        {
            File.Delete(link);
            Directory.Delete(outside, recursive: true);
        }
    }

    [RequiresQemuFact]
    public async Task A_published_image_is_never_overwritten_without_force_and_is_replaced_whole_with_it()
    {
        var image = bench.Product.Image("kept.img");
        (await bench.SaveAsync(image)).ExpectOk();
        await (await bench.GuestAsync()).ContinueAsync();
        var first = FolderState.Of(bench.Images);
        var manifest = await File.ReadAllTextAsync(image + ".manifest.json");

        await bench.ExpectHarmlessAsync(await bench.SaveAsync(image), Refused, first, image, "exists already", "--force");

        (await bench.SaveAsync(image, "--force")).ExpectOk();
        await (await bench.GuestAsync()).ContinueAsync();
        (await bench.Product.RunAsync("verify", image)).ExpectOk();
        Assert.NotEqual(manifest, await File.ReadAllTextAsync(image + ".manifest.json"));
        await Expect.LoadsAsync(image, FaultBench.Recipe);
    }

    [RequiresQemuFact]
    public async Task A_file_that_is_no_image_is_not_overwritten_either()
    {
        var path = bench.Product.Image("letter.txt");
        await File.WriteAllTextAsync(path, "not an image");
        var before = FolderState.Of(bench.Images);
        await bench.ExpectHarmlessAsync(await bench.SaveAsync(path), Refused, before, path, "exists already");
        Assert.Equal("not an image", await File.ReadAllTextAsync(path));
    }

    [RequiresQemuFact]
    public async Task A_folder_as_the_image_and_a_folder_that_does_not_exist_are_refused()
    {
        var before = FolderState.Of(bench.Images);
        await bench.ExpectHarmlessAsync(await bench.SaveAsync(bench.Images), Refused, before, "is a folder", "file name");
        await bench.ExpectHarmlessAsync(await bench.SaveAsync(bench.Product.Image("missing/a.img")), NotFound, before, "does not exist");
    }

    [RequiresQemuFact]
    public async Task A_name_that_leaves_no_room_for_the_side_files_names_fails_and_leaves_nothing()
    {
        const int longestName = 255;
        var before = FolderState.Of(bench.Images);
        foreach (var length in new[] { longestName - ".partial".Length + 1, longestName - ".partial.manifest.json".Length, longestName - ".partial".Length, 201 })
            await bench.ExpectHarmlessAsync(await bench.SaveAsync(bench.Product.Image(new string('n', length))), Storage, before, "too long", "at most 200 bytes");

        var longest = bench.Product.Image(new string('n', 200));
        (await bench.SaveAsync(longest)).ExpectOk();
        await bench.ExpectWholeAsync(longest);
        await bench.RemoveAsync(longest);
    }

    [RequiresQemuTheory]
    [InlineData(".partial.manifest.json")]
    [InlineData(".manifest.json")]
    [InlineData(".partial.checksums")]
    [InlineData(".checksums")]
    public async Task A_folder_in_the_place_of_a_side_file_is_refused(string suffix)
    {
        var image = bench.Product.Image($"blocked{suffix}.img");
        Directory.CreateDirectory(image + suffix);
        var before = FolderState.Of(bench.Images);
        await bench.ExpectHarmlessAsync(await bench.SaveAsync(image), Refused, before, image + suffix, "is a folder");
        await bench.ExpectHarmlessAsync(await bench.SaveAsync(image, "--force"), Refused, before, image + suffix, "is a folder");
    }
}
