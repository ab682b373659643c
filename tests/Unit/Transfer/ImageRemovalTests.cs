using System.Text;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class ImageRemovalTests
{
    private const string Image = "guest.image";

    private static readonly string[] Kept = ["guest.image2", "guest.image2.claim.1", "guest.image.claim.x", "guest.image.partial"];

    private static readonly string[] Removed =
        [Image, Image + ".checksums", Image + ".manifest.json", Image + ".claim.1", Image + ".claim.1.released", Image + ".claim.2", Image + ".claim.11"];

    [Fact]
    public void An_image_goes_with_all_that_lies_beside_it_and_nothing_else()
    {
        var storage = Filled();
        Assert.True(ImageRemoval.Remove(Image, Inode(storage), storage));
        Assert.Equal(Kept.Order(StringComparer.Ordinal), storage.Names.Order(StringComparer.Ordinal));
        Assert.True(storage.IsDurable);
    }

    [Fact]
    public void Once_more_does_nothing()
    {
        var storage = Filled();
        var inode = Inode(storage);
        Assert.True(ImageRemoval.Remove(Image, inode, storage));
        Assert.True(ImageRemoval.Remove(Image, inode, storage));
        Assert.Equal(Kept.Length, storage.Names.Count);
    }

    [Fact]
    public void Another_image_of_that_name_and_what_lies_beside_it_stay()
    {
        var storage = Filled();
        var before = storage.Names.ToList();
        Assert.False(ImageRemoval.Remove(Image, Inode(storage) + 1000, storage));
        Assert.Equal(before, storage.Names);
    }

    [Fact]
    public void An_image_that_is_published_meanwhile_keeps_what_lies_beside_it()
    {
        var storage = Filled();
        var inode = Inode(storage);
        var syncs = 0;
        storage.Within = call =>
        {
            if (call == "fsync folder" && ++syncs == 1)
                storage.Rename("guest.image.partial", Image, replace: true);
            return false;
        };
        Assert.False(ImageRemoval.Remove(Image, inode, storage));
        Assert.All([Image, Image + ".checksums", Image + ".manifest.json", Image + ".claim.11"], name => Assert.Contains(name, storage.Names));
    }

    [Fact]
    public void However_it_is_cut_off_the_image_has_all_of_its_claims_or_is_gone_and_no_release_lacks_its_claim()
    {
        var cuts = 0;
        for (var seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var storage = Filled(random);
            var inode = Inode(storage);
            var left = random.Next(16);
            var fails = random.Next(2) == 0;
            storage.Within = _ => !fails && --left < 0;
            storage.Fault = _ => fails && --left < 0 ? Errno.EIO : Errno.None;
            try
            {
                Assert.True(ImageRemoval.Remove(Image, inode, storage));
            }
            catch (Exception e) when (e is MachineEndedException or ImageException)
            {
                cuts++;
            }

            storage.Within = _ => false;
            storage.Fault = _ => Errno.None;
            storage.Crash();
            if (storage.Names.Contains(Image))
                Assert.All(Removed, name => Assert.Contains(name, storage.Names));
            Assert.True(storage.Names.Contains(Image + ".claim.1") || !storage.Names.Contains(Image + ".claim.1.released"), $"seed {seed}");

            Assert.True(ImageRemoval.Remove(Image, inode, storage));
            Assert.Equal(Kept.Length, storage.Names.Count);
        }

        Assert.InRange(cuts, 100, 300);
    }

    private static ModelStorage Filled(Random? random = null)
    {
        var storage = new ModelStorage(random ?? new Random(3));
        foreach (var name in Removed.Concat(Kept))
            storage.Put(name, Encoding.UTF8.GetBytes(name));
        return storage;
    }

    private static ulong Inode(ModelStorage storage) => storage.Find(Image)!.Value.Inode;
}
