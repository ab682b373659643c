using System.IO.Hashing;
using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>A block engine over synthetic memory, and the image file that its pages go to.</summary>
internal sealed class TestBlock : IDisposable
{
    private const long PagesAt = 1 << 20;

    private readonly TestFolder? _folder;

    /// <summary>A block in an image of its own on /dev/shm, or in one that the test made.</summary>
    public TestBlock(int pages, ImageFile? image = null, long at = PagesAt)
    {
        Memory = new SyntheticMemory(pages);
        Layout = new RamBlockLayout($"ram-{at}", pages * Page.Size, 0, 64, at);
        if (image is null)
            _folder = new TestFolder("/dev/shm");
        Image = image ?? ImageFile.Create(_folder!["image.partial"], at + Layout.UsedLength, DirectIoChoice.Off, Watch.Impatient());
        Engine = new BlockEngine(Layout, Memory);
    }

    public SyntheticMemory Memory { get; }

    public RamBlockLayout Layout { get; }

    public ImageFile Image { get; }

    public BlockEngine Engine { get; }

    public BlockCounters Now => Engine.Snapshot();

    /// <summary>Fills pages with one byte, every run of them with another.</summary>
    public TestBlock With(params (int First, int Count)[] data)
    {
        for (var i = 0; i < data.Length; i++)
            Memory.Fill(new PageRun(data[i].First, data[i].Count), (byte)(i + 1));
        return this;
    }

    /// <summary>Writes every dirty page by hand, without writer threads.</summary>
    public void CopyAll(int iteration, int extentPages = 256)
    {
        using var copier = new ExtentCopier(Image, extentPages, _ => { });
        Engine.ReleaseHeld(Engine.HeldPages());
        Engine.BeginIteration(iteration);
        Engine.TryScan(Image);
        while (Engine.TryTake(extentPages, out var run))
            copier.Copy(Engine, run);
        Assert.Equal(BlockState.Clean, Now.State);
    }

    public void CloseEpoch(bool durable = true)
    {
        Engine.BeginEpoch();
        Engine.EndEpoch(durable);
    }

    /// <summary>Its pages by state in cells, which add up to its counters.</summary>
    public CellCounts[] Cells(int count)
    {
        var cells = new CellCounts[count];
        Assert.True(Engine.TryCount(cells));
        var now = Now;
        Assert.Equal(
            (now.Dirty, now.InFlight, now.Written, now.Durable, now.Zero),
            (cells.Sum(cell => cell.Dirty), cells.Sum(cell => cell.InFlight), cells.Sum(cell => cell.Written), cells.Sum(cell => cell.Durable), cells.Sum(cell => cell.Zero)));
        return cells;
    }

    /// <summary>Gives unused space back and hands over, as the image writer does.</summary>
    public (byte[] Bitmap, UInt128 Digest) HandOver()
    {
        foreach (var run in Engine.UnusedReservations())
            Image.Release(Layout.PagesOffset + run.Offset, run.Length);
        return Engine.HandOver();
    }

    public byte[] PageInFile(long page)
    {
        using var input = Image.OpenInput();
        var bytes = new byte[Page.Size];
        input.ReadExactly(Layout.PagesOffset + (page * Page.Size), bytes);
        return bytes;
    }

    /// <summary>Whether a page of the file holds nothing but one byte value.</summary>
    public bool InFileIs(long page, byte value) => !PageInFile(page).AsSpan().ContainsAnyExcept(value);

    /// <summary>Fills the pages' places in the file, so that what is not written shows.</summary>
    public void FillFile(byte value)
    {
        var bytes = new byte[Layout.UsedLength];
        bytes.AsSpan().Fill(value);
        Image.WriteMeta(bytes, Layout.PagesOffset);
    }

    /// <summary>Every page in the file is what it is in memory, the shadow bit stands for exactly those that are not zero, and the
    /// digest is the one over their hashes.</summary>
    public void AssertHandedOver((byte[] Bitmap, UInt128 Digest) handedOver)
    {
        var digest = new XxHash128();
        var hash = new byte[16];
        for (long page = 0; page < Layout.PageCount; page++)
        {
            Assert.True(Memory[page].SequenceEqual(PageInFile(page)), $"page {page} differs from memory");
            Assert.True(Memory.IsZero(page) != ((handedOver.Bitmap[page / 8] >> (int)(page % 8) & 1) != 0), $"shadow bit of page {page}");
            if (Memory.IsZero(page))
                continue;
            System.Buffers.Binary.BinaryPrimitives.WriteUInt128LittleEndian(hash, XxHash128.HashToUInt128(Memory[page]));
            digest.Append(hash);
        }

        Assert.Equal(digest.GetCurrentHashAsUInt128(), handedOver.Digest);
    }

    public void Dispose()
    {
        Engine.Dispose();
        if (_folder is null)
            return;
        Image.Dispose();
        _folder.Dispose();
    }
}
