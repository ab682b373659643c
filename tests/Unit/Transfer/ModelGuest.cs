using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>A guest that is the test itself: a few RAMBlocks of pages that hold one byte value each.</summary>
internal sealed class ModelGuest : IImageSource
{
    private static readonly int[] Sizes = [300, 40, 3];

    private readonly Random _random;

    public ModelGuest(Random random)
    {
        _random = random;
        Memories = [.. Sizes.Select(pages => new SyntheticMemory(pages))];
        Layout = ImageLayout.Create("pc-q35-10.0", [.. Sizes.Select((pages, i) => new RamBlockSpec($"ram{i}", pages * Page.Size))]);
        for (var i = 0; i < 12; i++)
            Change();
    }

    public IReadOnlyList<SyntheticMemory> Memories { get; }

    public ProcessIdentity Process { get; } = new("host-a", 4711, 12);

    public GuestDescription Description { get; } = new()
    {
        QemuVersion = "10.0.2",
        Machine = "pc-q35-10.0",
        VcpuCount = 1,
        CpuModel = "qemu64-x86_64-cpu",
        RamBlocks = [],
        Devices = new Dictionary<string, string>(),
        Disks = [],
        Arguments = [],
    };

    public ImageLayout Layout { get; }

    public IGuestMemory OpenMemory(string ramBlock) => Memories[Layout.Blocks.ToList().FindIndex(block => block.Name == ramBlock)];

    /// <summary>The guest writes, zeroes or frees some pages. It knows few values, so that pages often become what they were.</summary>
    public void Change()
    {
        var memory = Memories[_random.Next(Memories.Count)];
        var pages = (int)(memory.Length / Page.Size);
        var first = _random.Next(pages);
        var run = new PageRun(first, Math.Min(_random.Next(8) == 0 ? pages : _random.Next(1, 20), pages - first));
        switch (_random.Next(8))
        {
            case 0:
                memory.Fill(run, 0);
                break;
            case 1:
                memory.Free(run);
                break;
            default:
                memory.Fill(run, (byte)_random.Next(1, 4));
                break;
        }
    }

    public byte[][] Snapshot() => [.. Memories.Select(memory =>
    {
        var bytes = new byte[memory.Length];
        memory.Read(0, bytes);
        return bytes;
    })];
}
