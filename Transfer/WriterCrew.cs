using System.Threading.RateLimiting;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// The writer threads of one image. They are threads of their own, since a write to hung storage may never return and copying
/// on the shared pool starves everything else in the process (measured: an unrelated call's p99 from 41 ms to 1.7 s).
/// </summary>
internal sealed class WriterCrew : IDisposable
{
    private readonly ImageFile _image;
    private readonly int _extentPages;
    private readonly object _gate = new();
    private readonly List<Thread> _threads = [];
    private readonly CancellationTokenSource _stop = new();

    private readonly Lock _placing = new();

    // The number of the block at which each writer works; -1 while it waits.
    private readonly int[] _workplaces;
    private BlockEngine[] _blocks = [];
    private TokenBucketRateLimiter? _limiter;
    private long _signals;
    private bool _stopping;

    public WriterCrew(ImageFile image, WriterOptions options, string name)
    {
        _image = image;
        _extentPages = options.ExtentBytes / Page.Size;
        SetBandwidth(options.BandwidthLimit);
        _workplaces = new int[options.Writers];
        Array.Fill(_workplaces, -1);
        for (var i = 0; i < options.Writers; i++)
        {
            var number = i;
            var thread = new Thread(() => Run(number)) { IsBackground = true, Name = $"writer {number} of {name}" };
            _threads.Add(thread);
            thread.Start();
        }
    }

    /// <summary>Lets the writers take pages from a block as well.</summary>
    public void Add(BlockEngine block)
    {
        lock (_gate)
            _blocks = [.. _blocks, block];
    }

    /// <summary>Changes how many bytes the writers write per second at most; 0 for no limit. Those that wait go on at once.</summary>
    public void SetBandwidth(long limit) => Interlocked.Exchange(ref _limiter, limit > 0 ? NewLimiter(limit, _extentPages * Page.Size) : null)?.Dispose();

    /// <summary>Tells the writers that there may be pages to take.</summary>
    public void Wake()
    {
        lock (_gate)
        {
            _signals++;
            Monitor.PulseAll(_gate);
        }
    }

    /// <summary>Stops the writers after the write under way.</summary>
    /// <param name="limit">How long to wait for writes that do not return.</param>
    /// <returns>Threads that are still stuck in a write.</returns>
    public int Stop(TimeSpan limit)
    {
        lock (_gate)
            _stopping = true;
        _stop.Cancel();
        Wake();
        var until = Environment.TickCount64 + (long)limit.TotalMilliseconds;
        return _threads.Count(thread => !thread.Join((int)Math.Max(0, until - Environment.TickCount64)));
    }

    public void Dispose()
    {
        _stop.Dispose();
        _limiter?.Dispose();
    }

    private static TokenBucketRateLimiter NewLimiter(long limit, int extentBytes)
    {
        // Tokens are KiB; ten refills a second keep the flow even.
        var perRefill = (int)Math.Clamp(limit / 1024 / 10, 1, int.MaxValue);
        return new TokenBucketRateLimiter(new TokenBucketRateLimiterOptions
        {
            TokenLimit = perRefill + (extentBytes / 1024),
            TokensPerPeriod = perRefill,
            ReplenishmentPeriod = TimeSpan.FromMilliseconds(100),
            QueueLimit = int.MaxValue,
            QueueProcessingOrder = QueueProcessingOrder.OldestFirst,
        });
    }

    private void Run(int number)
    {
        using var copier = new ExtentCopier(_image, _extentPages, Throttle);
        while (true)
        {
            long seen;
            lock (_gate)
            {
                if (_stopping)
                    return;
                seen = _signals;
            }

            if (DoNext(number, copier))
                continue;
            lock (_gate)
            {
                while (!_stopping && seen == _signals)
                    Monitor.Wait(_gate);
            }
        }
    }

    /// <summary>
    /// A writer takes pages where the fewest others work, and stays at its block while no other has fewer: so large blocks advance
    /// side by side, whatever their order, and each is written in sequence.
    /// </summary>
    private bool DoNext(int number, ExtentCopier copier)
    {
        var blocks = Volatile.Read(ref _blocks);
        var first = _workplaces[number] < 0 ? number : _workplaces[number];
        for (var mostOthers = 0; mostOthers < _workplaces.Length; mostOthers++)
        {
            for (var i = 0; i < blocks.Length; i++)
            {
                var place = (first + i) % blocks.Length;
                if (TryPlace(number, place, mostOthers) && TryWork(blocks[place], copier))
                    return true;
            }
        }

        lock (_placing)
            _workplaces[number] = -1;
        return false;
    }

    private bool TryPlace(int number, int place, int mostOthers)
    {
        lock (_placing)
        {
            var others = 0;
            for (var i = 0; i < _workplaces.Length; i++)
                others += i != number && _workplaces[i] == place ? 1 : 0;
            if (others > mostOthers)
                return false;
            _workplaces[number] = place;
            return true;
        }
    }

    private bool TryWork(BlockEngine block, ExtentCopier copier)
    {
        if (block.TryScan(_image))
        {
            Wake();
            return true;
        }

        if (!block.TryTake(_extentPages, out var run))
            return false;
        Copy(copier, block, run);
        return true;
    }

    private static void Copy(ExtentCopier copier, BlockEngine block, PageRun run)
    {
        try
        {
            copier.Copy(block, run);
        }
        catch (Exception e)
        {
            // Whatever it was, the pages are not written: the block says so, and the thread lives on for the other blocks.
            block.Fail(run, e);
        }
    }

    /// <summary>Waits until the bandwidth limit allows the bytes; ends with an exception when the writers are stopped meanwhile.</summary>
    private void Throttle(int bytes)
    {
        while (Volatile.Read(ref _limiter) is { } limiter)
        {
            try
            {
#pragma warning disable VSTHRD002 // A thread of its own waits here; no context can deadlock.
                limiter.AcquireAsync(Math.Max(1, bytes / 1024), _stop.Token).AsTask().GetAwaiter().GetResult().Dispose();
#pragma warning restore VSTHRD002
                return;
            }
            catch (ObjectDisposedException) when (!ReferenceEquals(limiter, Volatile.Read(ref _limiter)))
            {
                // The limit has just been changed.
            }
        }
    }
}
