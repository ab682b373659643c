using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using DistMigrate.MappedRam;
using DistMigrate.Transfer;

namespace DistMigrate.Bench;

/// <summary>
/// The copy of a whole RAMBlock: read, zero test, hash, write into a file in memory, bookkeeping. One operation is one page, so what an
/// iteration or an extent allocates shows as a fraction of a byte and what a page allocates as bytes.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "BenchmarkDotNet calls the cleanup.")]
public class CopyBenchmarks
{
    private const int Extents = 64;
    private const int ExtentPages = 256;
    private const int Pages = Extents * ExtentPages;

    private string _folder = "";
    private ImageFile _image = null!;
    private StorageWatch _watch = null!;
    private BlockEngine _block = null!;
    private ExtentCopier _copier = null!;
    private WriterCrew _crew = null!;
    private int _iteration;

    public enum Content
    {
        Data,
        Zeros,
        EverySecondZero,
    }

    [ParamsAllValues]
    public Content Memory { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _folder = Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"dm-bench-{Guid.NewGuid():N}");
        Directory.CreateDirectory(_folder);
        var layout = ImageLayout.Create("pc-q35-10.0", [new RamBlockSpec("pc.ram", (long)Pages * Page.Size)]);
        _watch = new StorageWatch(TimeSpan.Zero, TimeProvider.System);
        _image = ImageFile.Create(Path.Combine(_folder, "image"), layout.TailOffset, DirectIoChoice.Off, _watch);
        var memory = new SyntheticMemory((long)Pages * Page.Size, ExtentPages, Memory switch
        {
            Content.Data => _ => false,
            Content.Zeros => _ => true,
            _ => page => page % 2 == 1,
        });
        _block = new BlockEngine(layout.Blocks[0], memory);
        _copier = new ExtentCopier(_image, ExtentPages, _ => { });
        _crew = new WriterCrew(_image, new WriterOptions(), "bench");
        _crew.Add(_block);
    }

    [GlobalCleanup]
    public void Cleanup()
    {
        _crew.Stop(TimeSpan.FromSeconds(5));
        _crew.Dispose();
        _copier.Dispose();
        _block.Dispose();
        _image.Dispose();
        _watch.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    /// <summary>By one thread.</summary>
    [Benchmark(OperationsPerInvoke = Pages)]
    public void Copy()
    {
        BeginIteration();
        _block.TryScan(_image);
        while (_block.TryTake(ExtentPages, out var run))
            _copier.Copy(_block, run);
        ThrowUnlessClean();
    }

    /// <summary>By the writer threads of a save.</summary>
    [Benchmark(OperationsPerInvoke = Pages)]
    public void CopyByWriters()
    {
        BeginIteration();
        _crew.Wake();
#pragma warning disable VSTHRD002 // BenchmarkDotNet's own thread; no context can deadlock.
        _block.Settled.GetAwaiter().GetResult();
#pragma warning restore VSTHRD002
        ThrowUnlessClean();
    }

    private void BeginIteration()
    {
        _block.MarkDirty(new PageRun(0, Pages));
        _block.BeginIteration(++_iteration);
    }

    private void ThrowUnlessClean()
    {
        if (_block.Snapshot() is { State: not BlockState.Clean } now)
            throw new InvalidOperationException($"The copy ended as {now.State}: {now.Error?.Message}");
    }
}
