using System.Text.Json.Nodes;
using DistMigrate.Guests;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class ImageManifestTests : IDisposable
{
    private readonly TestFolder _folder = new();

    private string Image => _folder["guest.image"];

    private string Path => _folder["guest.image.manifest.json"];

    [Fact]
    public void A_manifest_is_read_as_it_was_written()
    {
        var written = Written();
        var read = ImageManifest.Read(Image)!;
        Assert.Equal(
            (written.ImageId, written.ImageLength, written.Migration, written.Saved, written.GuestName, written.QmpPath, written.Source),
            (read.ImageId, read.ImageLength, read.Migration, read.Saved, read.GuestName, read.QmpPath, read.Source));
        Assert.Equal(written.Digests, read.Digests);
        Assert.Empty(GuestDescription.Differences(written.Guest, read.Guest));
    }

    [Fact]
    public void An_image_may_have_no_manifest()
    {
        File.WriteAllText(Image, "12345678");
        Assert.Null(ImageManifest.Read(Image));
    }

    [Fact]
    public void A_manifest_of_an_image_of_another_length_is_refused()
    {
        Written();
        File.AppendAllText(Image, "x");
        var error = Assert.Throws<ImageException>(() => ImageManifest.Read(Image));
        Assert.Equal(ImageFault.Mismatch, error.Fault);
        Assert.Contains("8 bytes", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_manifest_of_a_later_form_is_refused_and_says_so()
    {
        Change(json => json["schema"] = 2);
        var error = Assert.Throws<ImageException>(() => ImageManifest.Read(Image));
        Assert.Equal(ImageFault.Malformed, error.Fault);
        Assert.Contains("newer DistMigrate", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Fields_that_are_not_known_are_passed_over()
    {
        Change(json => json["later"] = new JsonObject());
        Assert.NotNull(ImageManifest.Read(Image));
    }

    [Theory]
    [InlineData("schema")]
    [InlineData("image-id")]
    [InlineData("image-length")]
    [InlineData("migration")]
    [InlineData("saved")]
    [InlineData("guest-name")]
    [InlineData("qmp-path")]
    [InlineData("source")]
    [InlineData("guest")]
    [InlineData("digests")]
    public void A_field_that_is_missing_or_null_is_refused(string field)
    {
        Change(json => json.Remove(field));
        Assert.Equal(ImageFault.Malformed, Refused());
        Change(json => json[field] = null);
        Assert.Equal(ImageFault.Malformed, Refused());
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("\u0000\u0000")]
    [InlineData("""{"schema":1,"image-length":"eight"}""")]
    public void A_damaged_manifest_is_refused(string damaged)
    {
        File.WriteAllText(Image, "12345678");
        File.WriteAllText(Path, damaged);
        Assert.Equal(ImageFault.Malformed, Refused());
    }

    [Fact]
    public void A_manifest_cut_anywhere_is_refused()
    {
        Written();
        var whole = File.ReadAllBytes(Path);
        for (var length = 0; length < whole.Length; length += 7)
        {
            File.WriteAllBytes(Path, whole[..length]);
            Assert.Equal(ImageFault.Malformed, Refused());
        }
    }

    [Fact]
    public void A_manifest_that_is_too_long_is_not_even_read()
    {
        File.WriteAllText(Image, "12345678");
        using (var file = File.Create(Path))
            file.SetLength(1L << 40);
        Assert.Equal(ImageFault.Malformed, Refused());
    }

    public void Dispose() => _folder.Dispose();

    private ImageFault Refused() => Assert.Throws<ImageException>(() => ImageManifest.Read(Image)).Fault;

    private void Change(Action<JsonObject> change)
    {
        Written();
        var json = JsonNode.Parse(File.ReadAllText(Path))!.AsObject();
        change(json);
        File.WriteAllText(Path, json.ToJsonString());
    }

    private ImageManifest Written()
    {
        File.WriteAllText(Image, "12345678");
        var guest = new GuestDescription
        {
            QemuVersion = "10.0.2",
            Machine = "pc-q35-10.0",
            VcpuCount = 2,
            CpuModel = "qemu64-x86_64-cpu",
            RamBlocks = [new RamBlockDescription("pc.ram", 1 << 20, 1 << 20)],
            Devices = new Dictionary<string, string> { ["/machine/peripheral/net0"] = "virtio-net-pci" },
            Disks = [new DiskDescription("drive0", null, "/disks/a.qcow2", ReadOnly: false)],
            Arguments = ["qemu-system-x86_64", "-m", "1M"],
        };
        var manifest = new ImageManifest(
            ImageManifest.CurrentSchema, Guid.NewGuid(), 8, "mig", new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero), "vm1", "/run/vm1.sock",
            new ProcessIdentity("host-a", 7, 99), guest, new Dictionary<string, string> { ["pc.ram"] = new('0', 32) });
        manifest.Write(Path);
        return manifest;
    }
}
