using System.Diagnostics.CodeAnalysis;
using BenchmarkDotNet.Attributes;
using DistMigrate.Grains.Metrics;
using DistMigrate.MappedRam;
using DistMigrate.Silo;
using DistMigrate.Transfer;
using Microsoft.Extensions.DependencyInjection;
using OpenTelemetry.Metrics;

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
    private ServiceProvider? _telemetry;
    private StorageMetrics? _metrics;
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

    /// <summary>Whether every call to the storage is told to the silo's metrics, as in the product.</summary>
    [ParamsAllValues]
    public bool IsMeasured { get; set; }

    [GlobalSetup]
    public void Setup()
    {
        _folder = Path.Combine(Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"dm-bench-{Guid.NewGuid():N}");
        Directory.CreateDirectory(_folder);
        var layout = ImageLayout.Create("pc-q35-10.0", [new RamBlockSpec("pc.ram", (long)Pages * Page.Size)]);
        if (IsMeasured)
        {
            var services = new ServiceCollection();
            SiloTelemetry.Add(services, new SiloSettings());
            _telemetry = services.BuildServiceProvider();
            _telemetry.GetRequiredService<MeterProvider>();
            _metrics = new StorageMetrics();
            _metrics.Begin();
        }

        _watch = new StorageWatch(TimeSpan.Zero, TimeProvider.System, _metrics);
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
        _metrics?.Dispose();
        _telemetry?.Dispose();
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
