using System.Runtime.InteropServices;
using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Tests.Lab;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>The memory of this process is filled as that of a waiting QEMU is, while an image is written and after it is published.</summary>
public sealed class PreloadTests : IDisposable
{
    private readonly TestFolder _folder = new("/dev/shm");
    private readonly ModelGuest _guest = new(new Random(3));
    private readonly ImageAttempt _attempt;
    private readonly RamBlockLayout _layout;
    private readonly nint _memory;
    private int _iteration;

    public PreloadTests()
    {
        _layout = _guest.Layout.Blocks[0];
        _memory = Marshal.AllocHGlobal((nint)_layout.UsedLength);
        Memory.Clear();
        _attempt = new ImageAttempt(
            new SavePlan(
                "mig-1", "host-a", "vm1", "/run/vm1.sock", Image, Overwrite: false, AfterPublication.HandOver,
                new WriterOptions { Writers = 2, DirectIo = DirectIoChoice.Off, EpochBytes = long.MaxValue, EpochTime = TimeSpan.FromHours(1) },
                LaunchFolder: "", Request: ""),
            TimeProvider.System);
        _attempt.Create(_guest, new JournalToken(1, Guid.NewGuid()));
    }

    private unsafe Span<byte> Memory => new((void*)_memory, (int)_layout.UsedLength);

    private string Image => _folder["guest.image"];

    public void Dispose()
    {
        _attempt.Dispose();
        _folder.Dispose();
        Marshal.FreeHGlobal(_memory);
    }

    [Fact]
    public async Task What_is_durable_is_there_before_the_image_is_published_and_the_rest_comes_with_its_checksums()
    {
        using var preload = Begin();
        await CopyAsync();
        _attempt.SaveLastEpoch();
        await Wait.UntilAsync(() => IsFilled(), "all that is durable is in memory");
        var early = preload.Bytes;
        Assert.InRange(early, 1, _layout.UsedLength);

        for (var i = 0; i < 8; i++)
            _guest.Change();
        foreach (var engine in _attempt.Engines)
            _attempt.SyncDirty(engine);
        await CopyAsync();
        Publish();
        preload.Finish(Structure(), _attempt.Id, CancellationToken.None);
        Assert.True(IsFilled(), "memory is what the guest held when it was stopped");
        Assert.InRange(preload.Bytes, early, early + _layout.UsedLength);
    }

    [Fact]
    public async Task A_preload_that_never_saw_the_journal_takes_everything_from_the_published_image()
    {
        await CopyAsync();
        Publish();
        using var preload = Begin();
        preload.Finish(Structure(), _attempt.Id, CancellationToken.None);
        Assert.True(IsFilled(), "memory is what the guest held when it was stopped");
    }

    [Fact]
    public async Task Pages_of_the_image_that_are_not_those_that_were_saved_are_told_by_the_first_of_them()
    {
        _guest.Memories[0].Fill(new PageRun(7, 3), 0x77);
        await CopyAsync();
        Publish();
        using (var file = new FileStream(Image, FileMode.Open))
        {
            file.Position = _layout.PagesOffset + (7 * Page.Size) + 100;
            file.WriteByte(1);
            file.Position = _layout.PagesOffset + (8 * Page.Size) + 100;
            file.WriteByte(1);
        }

        using var preload = Begin();
        var e = Assert.Throws<ImageException>(() => preload.Finish(Structure(), _attempt.Id, CancellationToken.None));
        Assert.Equal(ImageFault.Mismatch, e.Fault);
        Assert.Contains("Page 7", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Checksums_of_another_image_prove_nothing()
    {
        await CopyAsync();
        Publish();
        using var preload = Begin();
        Assert.Equal(ImageFault.Malformed, Assert.Throws<ImageException>(() => preload.Finish(Structure(), Guid.NewGuid(), CancellationToken.None)).Fault);
    }

    private Preload Begin() => new(
        Image, "mig-1", "pc-q35-10.0",
        [new WaitingMemory(Environment.ProcessId, new DistMigrate.Guests.RamBlock(_layout.Name, _layout.UsedLength, _layout.UsedLength, Page.Size, (ulong)_memory, ReadOnly: false))],
        TimeProvider.System);

    private bool IsFilled() => Memory.SequenceEqual(_guest.Snapshot()[0]);

    private async Task CopyAsync()
    {
        _iteration++;
        foreach (var engine in _attempt.Engines)
            _attempt.Iterate(engine, _iteration);
        foreach (var engine in _attempt.Engines)
            await engine.Settled;
        Assert.All(_attempt.Engines, engine => Assert.Equal(BlockState.Clean, engine.Snapshot().State));
    }

    private void Publish()
    {
        _attempt.SaveLastEpoch();
        foreach (var engine in _attempt.Engines)
            _attempt.HandOver(engine);
        _attempt.Publish(new DeviceSections(MappedRam.TestImage.Devices, default), () => { }, CancellationToken.None);
    }

    private MappedRamImage Structure()
    {
        using var input = new FileImageInput(Image);
        return MappedRamImage.Read(input);
    }
}
