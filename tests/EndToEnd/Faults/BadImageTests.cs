using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>What <c>inspect</c>, <c>verify</c> and <c>restore</c> say to files that are no images, or damaged ones.</summary>
public sealed class BadImageTests(FaultBench bench) : IClassFixture<FaultBench>, IAsyncLifetime
{
    private const int Ok = 0;
    private const int Refused = 3;
    private const int NotFound = 6;
    private const int Malformed = 8;

    private string _good = "";
    private QemuProcess? _target;

    private QemuProcess Target => _target!;

    public async Task InitializeAsync()
    {
        if (FaultTools.Missing(FaultNeeds.None) is not null)
            return;
        _good = bench.Product.Image("good.img");
        if (!File.Exists(_good))
        {
            (await bench.SaveAsync(_good)).ExpectOk();

            // The guest of the image must not run twice, and the tests do not need it any longer.
            await (await bench.GuestAsync()).KillAsync();
        }

        // The same disks, as restore asks.
        _target = await QemuProcess.StartAsync(FaultBench.Recipe.AsTarget(startPaused: false) with { BootFolder = (await bench.GuestAsync()).Folder });
    }

    public async Task DisposeAsync()
    {
        if (_target is not null)
            await _target.DisposeAsync();
    }

    [RequiresQemuFact]
    public async Task A_text_an_empty_file_and_one_of_zeros_are_no_images_for_any_command_and_the_target_still_loads_a_good_one()
    {
        foreach (var (name, content) in new (string, byte[])[] { ("text.img", "Dear reader,\n"u8.ToArray()), ("empty.img", []), ("zeros.img", new byte[2 << 20]) })
        {
            var path = bench.Product.Image(name);
            await File.WriteAllBytesAsync(path, content);
            await ExpectMalformedAsync(path);
        }

        (await RestoreAsync(_good)).ExpectOk();
        await Target.WaitForStepsAsync(2);
    }

    [RequiresQemuFact]
    public async Task An_image_that_lost_its_end_is_malformed_wherever_it_was_cut()
    {
        var blocks = ImageOracle.Layout(_good);
        var end = blocks[^1].PagesOffset + blocks[^1].UsedLength;
        var whole = new FileInfo(_good).Length;
        foreach (var length in new[] { 100, blocks[0].PagesOffset + 5000, end - 1, end, whole - 1 })
        {
            var path = bench.Product.Image("cut.img");
            File.Copy(_good, path, overwrite: true);
            using (var file = File.OpenWrite(path))
                file.SetLength(length);
            await ExpectMalformedAsync(path);
        }
    }

    [RequiresQemuFact]
    public async Task A_bit_that_flipped_in_what_decides_the_layout_is_found_by_every_command()
    {
        // Magic and version; then, from the end of the first RAMBlock's header back, pages_offset and bitmap_offset.
        var header = HeaderEnd();
        foreach (var (offset, bit) in new (long, int)[] { (0, 0), (7, 2), (header - 6, 3), (header - 14, 7) })
        {
            var path = bench.Product.Image("flipped.img");
            File.Copy(_good, path, overwrite: true);
            Flip(path, offset, bit);
            await ExpectMalformedAsync(path);
        }
    }

    [RequiresQemuFact]
    public async Task A_bit_that_flipped_anywhere_outside_the_pages_never_breaks_a_command()
    {
        var random = FaultSeed.For(1);
        var blocks = ImageOracle.Layout(_good);
        var tail = blocks[^1].PagesOffset + blocks[^1].UsedLength;
        var length = new FileInfo(_good).Length;
        for (var i = 0; i < (LabPrograms.IsFull ? 100 : 4); i++)
        {
            var offset = i % 2 == 0 ? random.NextInt64(HeaderEnd()) : random.NextInt64(tail, length);
            var bit = random.Next(8);
            var path = bench.Product.Image("flipped.img");
            File.Copy(_good, path, overwrite: true);
            Flip(path, offset, bit);

            var verified = await bench.Product.RunAsync("verify", path);
            if (verified.ExitCode is not (Ok or Malformed))
                Assert.Fail($"Bit {bit} at {offset} (SEED={FaultSeed.Value}): {verified}");
            if (verified.ExitCode == Malformed)
                Expect.Failure(await RestoreAsync(path), Malformed, path);
            var inspected = await bench.Product.RunAsync("inspect", path);
            if (inspected.ExitCode is not (Ok or Malformed) || (verified.ExitCode == Ok && inspected.ExitCode != Ok))
                Assert.Fail($"Bit {bit} at {offset} (SEED={FaultSeed.Value}): {inspected}");
        }

        Assert.Equal("inmigrate", await Target.Monitor.RunStateAsync());
    }

    [RequiresQemuFact]
    public async Task A_folder_and_a_missing_file_are_said_to_be_that()
    {
        var missing = bench.Product.Image("missing.img");
        foreach (var command in new[] { "inspect", "verify" })
        {
            Expect.Failure(await bench.Product.RunAsync(command, missing), NotFound, $"there is no image {missing}");
            Expect.Failure(await bench.Product.RunAsync(command, bench.Images), NotFound, "is a folder");
        }

        Expect.Failure(await RestoreAsync(missing), NotFound, missing, "does not exist");
        Expect.Failure(await RestoreAsync(bench.Images, "--guest", "phoenix"), Refused, "is a folder");
        Assert.Equal("inmigrate", await Target.Monitor.RunStateAsync());
    }

    [RequiresQemuFact]
    public async Task An_image_outside_the_storage_roots_is_not_loaded_even_where_a_link_hides_that()
    {
        var outside = Directory.CreateTempSubdirectory("dm-outside-").FullName;
        try
        {
            var copy = Path.Combine(outside, "copy.img");
            File.Copy(_good, copy);
            File.Copy(_good + ".manifest.json", copy + ".manifest.json");
            var folderLink = bench.Product.Image("linked-folder");
            Directory.CreateSymbolicLink(folderLink, outside);
            Expect.Failure(await RestoreAsync(copy), Refused, "not below a storage root");
            Expect.Failure(await RestoreAsync(Path.Combine(folderLink, "copy.img")), Refused, "not below a storage root");
            Assert.Equal("inmigrate", await Target.Monitor.RunStateAsync());
            Directory.Delete(folderLink);
        }
        finally
        {
            Directory.Delete(outside, recursive: true);
        }
    }

    private async Task ExpectMalformedAsync(string path)
    {
        Expect.Failure(await bench.Product.RunAsync("verify", path), Malformed, path);
        Expect.Failure(await bench.Product.RunAsync("inspect", path), Malformed);
        Expect.Failure(await RestoreAsync(path), Malformed, path);
        Assert.Equal("inmigrate", await Target.Monitor.RunStateAsync());
        Assert.Empty(Directory.EnumerateFiles(bench.Images, Path.GetFileName(path) + ".claim.*"));
    }

    private Task<CommandResult> RestoreAsync(string image, params string[] options) =>
        bench.Product.RunAsync(["restore", image, "--qmp", Target.QmpSocket, .. options]);

    /// <summary>Where the header of the first RAMBlock ends: 8 bytes for its bitmap's place and 8 for its pages' are its last.</summary>
    private long HeaderEnd()
    {
        // The bitmap of the first block follows its header at the next multiple of 8 or more, so the header's own words are searched for.
        var first = ImageOracle.Layout(_good)[0];
        Span<byte> words = stackalloc byte[16];
        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(words, first.BitmapOffset);
        System.Buffers.Binary.BinaryPrimitives.WriteInt64BigEndian(words[8..], first.PagesOffset);
        using var file = File.OpenRead(_good);
        var start = new byte[first.BitmapOffset];
        file.ReadExactly(start);
        return start.AsSpan().IndexOf(words) + words.Length;
    }

    private static void Flip(string path, long offset, int bit)
    {
        using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite);
        file.Position = offset;
        var value = file.ReadByte();
        file.Position = offset;
        file.WriteByte((byte)(value ^ (1 << bit)));
    }
}
