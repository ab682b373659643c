using System.Collections;
using System.Globalization;
using DistMigrate.Contracts;
using DistMigrate.Tests.Lab;
using DistMigrate.Transfer;

namespace DistMigrate.Bench;

/// <summary>
/// The control plane alone: real silos, coordinators, hosts, catalog, image writers and RAMBlock grains, with guests that are synthetic and
/// so small that their memory does not count. How many migrations a second, how soon the status answers meanwhile, and what an idle
/// migration costs.
/// </summary>
internal static class ControlBench
{
    private const int WarmUp = 100;
    private const int SubmittersPerHost = 4;
    private const int PausedMigrations = 96;
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(10);
    private static readonly TimeSpan IdleTime = TimeSpan.FromSeconds(5);

    /// <summary>Between two questions for a status: a few hundred a second are more than people and programs ask.</summary>
    private static readonly TimeSpan AskEvery = TimeSpan.FromMilliseconds(5);

    private static readonly TimeSpan LookEvery = TimeSpan.FromMilliseconds(20);

    public static async Task RunAsync(BenchOptions options, CancellationToken cancellationToken)
    {
        List<Figures> all = [];
        foreach (var silos in options.Silos == 0 ? new[] { 1, 3 } : [options.Silos])
        {
            var images = Directory.CreateDirectory(Path.Combine(options.Folder, Text($"control-{silos}"))).FullName;
            try
            {
                all.Add(await MeasureAsync(silos, options.Migrations, images, cancellationToken));
            }
            finally
            {
                Directory.Delete(images, recursive: true);
            }
        }

        MarkdownTable.Write(
            Text($"Control plane: {options.Migrations} migrations x {SyntheticGuest.RamBlockCount} RAMBlocks, {ControlCluster.PlacesPerHost} at a time on each host"),
            ["", .. all.Select(figures => figures.Silos == 1 ? "one silo" : Text($"{figures.Silos} silos, Redis"))],
            [
                Row("first submission to last completion, s", figures => figures.Load.Total.TotalSeconds, "0.0"),
                Row("migrations per second", figures => options.Migrations / figures.Load.Total.TotalSeconds, "0.0"),
                Row("all submitted after, s", figures => figures.Load.Submitted.TotalSeconds, "0.0"),
                Row("a migration from its start to its end: median, s", figures => figures.Load.Each.Median, "0.00"),
                Row("`status` under that load: answers", figures => figures.Load.Status.Count, "0"),
                Row("... p50, ms", figures => figures.Load.Status.Quantile(0.5), "0.0"),
                Row("... p99, ms", figures => figures.Load.Status.Quantile(0.99), "0.0"),
                Row("... slowest, ms", figures => figures.Load.Status.Max, "0.0"),
                Row("`status` afterwards: p50, ms", figures => figures.IdleStatus.Quantile(0.5), "0.0"),
                Row("... p99, ms", figures => figures.IdleStatus.Quantile(0.99), "0.0"),
                Row("processor time of the silos per migration, ms", figures => figures.Load.SiloCpu.TotalMilliseconds / options.Migrations, "0.0"),
                Row("processor time of Redis per migration, ms", figures => figures.Load.RedisCpu.TotalMilliseconds / options.Migrations, "0.0"),
                Row("submissions per second into a queue that is half as long, nothing else to do", figures => figures.Queued.PerSecond, "0.0"),
                Row("memory per queued migration, KiB: private, managed", figures => figures.Queued.Memory),
                Row("memory per paused migration, KiB: private, managed", figures => figures.Paused.Memory),
                Row("the same saves by the engine without grains, per second", figures => figures.EngineRate, "0.0"),
            ]);

        string[] Row(string name, Func<Figures, object> value, string format = "") =>
            [name, .. all.Select(figures => value(figures) is IFormattable number ? number.ToString(format, CultureInfo.InvariantCulture) : (string)value(figures))];
    }

    private static async Task<Figures> MeasureAsync(int silos, int migrations, string images, CancellationToken cancellationToken)
    {
        await using var cluster = await ControlCluster.StartAsync(silos, images, cancellationToken);
        var bench = new Submitter(cluster, await cluster.ConnectAsync(cancellationToken), images);
        var asker = await cluster.ConnectAsync(cancellationToken);

        await LoadAsync(cluster, bench, asker, WarmUp, cancellationToken);
        Say(silos, "warm");
        var load = await LoadAsync(cluster, bench, asker, migrations, cancellationToken);
        Say(silos, Text($"{migrations} migrations in {load.Total.TotalSeconds:0.0} s"));

        using var idle = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        idle.CancelAfter(IdleTime);
        var idleStatus = await AskAsync(asker, bench.Submitted, idle.Token);
        cancellationToken.ThrowIfCancellationRequested();

        var paused = await PausedAsync(cluster, bench, cancellationToken);
        Say(silos, Text($"a paused migration takes {paused.Memory} KiB"));
        var queued = await QueuedAsync(cluster, bench, migrations, cancellationToken);
        Say(silos, Text($"a queued migration takes {queued.Memory} KiB"));
        return new Figures(silos, load, idleStatus, queued, paused, await EngineRateAsync(silos, migrations, images, cancellationToken));
    }

    /// <summary>Submits migrations, waits until they are completed, and asks for the status of any of them meanwhile.</summary>
    private static async Task<Load> LoadAsync(
        ControlCluster cluster, Submitter bench, IGrainFactory asker, int count, CancellationToken cancellationToken)
    {
        var siloCpu = CpuOf(cluster);
        var redisCpu = cluster.RedisCpu;
        bench.Submitted.Clear();
        using var asking = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        var asked = AskAsync(asker, bench.Submitted, asking.Token);
        var start = TimeProvider.System.GetUtcNow();
        var began = TimeProvider.System.GetTimestamp();
        await bench.SubmitAsync(count, SyntheticGuest.Ordinary, cancellationToken);
        var submitted = TimeProvider.System.GetElapsedTime(began);

        var each = new Samples();
        var last = start;
        foreach (var id in bench.Submitted)
        {
            var status = await bench.WaitAsync(id, phase => phase.IsEnd(), cancellationToken);
            if (status.Phase != MigrationPhase.Completed)
                throw new InvalidOperationException($"Migration {id} ended as {status.Phase}: {status.Message}");
            each.Add(status.Ended!.Value - status.Started!.Value);
            last = status.Ended > last ? status.Ended.Value : last;
        }

        // Host and storage have their places back.
        await bench.WaitForPlacesAsync(held: 0, cancellationToken);
        siloCpu = CpuOf(cluster) - siloCpu;
        redisCpu = cluster.RedisCpu - redisCpu;
        await asking.CancelAsync();
        return new Load(last - start, submitted, each, await asked, siloCpu, redisCpu);
    }

    /// <summary>Asks for the status of migrations at random until it is cancelled.</summary>
    /// <returns>How long the answers took, in milliseconds.</returns>
    private static async Task<Samples> AskAsync(IGrainFactory grains, Submissions submitted, CancellationToken cancellationToken)
    {
        var times = new Samples();
        while (!cancellationToken.IsCancellationRequested)
        {
            if (submitted.PickOne() is { } id)
            {
                var began = TimeProvider.System.GetTimestamp();
                await grains.GetGrain<IMigrationGrain>(id).GetStatus();
                times.Add(TimeProvider.System.GetElapsedTime(began).TotalMilliseconds);
            }

            await Task.WhenAny(Task.Delay(AskEvery, cancellationToken));
        }

        return times;
    }

    /// <summary>What the silos hold of migrations that wait behind others that keep their places.</summary>
    private static async Task<Idle> QueuedAsync(ControlCluster cluster, Submitter bench, int count, CancellationToken cancellationToken)
    {
        await bench.SubmitAsync(cluster.Hosts.Count * ControlCluster.PlacesPerHost, SyntheticGuest.Silent, cancellationToken);
        await bench.WaitForPlacesAsync(ControlCluster.PlacesPerHost, cancellationToken);
        return await AddAsync(cluster, count, half => bench.SubmitAsync(half, SyntheticGuest.Ordinary, cancellationToken), cancellationToken);
    }

    /// <summary>What the silos hold of migrations that the operator paused once their pages were written.</summary>
    private static Task<Idle> PausedAsync(ControlCluster cluster, Submitter bench, CancellationToken cancellationToken) =>
        AddAsync(
            cluster,
            PausedMigrations,
            async half =>
            {
                bench.Submitted.Clear();
                await bench.SubmitAsync(half, SyntheticGuest.Halting, cancellationToken);
                foreach (var id in bench.Submitted)
                {
                    await bench.WaitAsync(id, phase => phase == MigrationPhase.Device, cancellationToken);
                    await bench.PauseAsync(id);
                }

                foreach (var id in bench.Submitted)
                    await bench.WaitAsync(id, phase => phase == MigrationPhase.Paused, cancellationToken);
            },
            cancellationToken);

    /// <summary>What the second half of so many migrations adds: the first one also fills pools and heaps that are then there.</summary>
    private static async Task<Idle> AddAsync(ControlCluster cluster, int count, Func<int, Task> addAsync, CancellationToken cancellationToken)
    {
        var half = count / 2;
        await addAsync(half);
        var before = await SumAsync();
        var began = TimeProvider.System.GetTimestamp();
        await addAsync(half);
        var elapsed = TimeProvider.System.GetElapsedTime(began);
        var after = await SumAsync();
        return new Idle(half / elapsed.TotalSeconds, Text($"{(after.Private - before.Private) / 1024.0 / half:0.0}, {(after.Managed - before.Managed) / 1024.0 / half:0.0}"));

        async Task<(long Private, long Managed)> SumAsync()
        {
            var memories = await Task.WhenAll(cluster.Hosts.Select(host => host.MemoryAsync(cancellationToken)));
            return (memories.Sum(memory => memory.Private), memories.Sum(memory => memory.Managed));
        }
    }

    /// <summary>The part of the load that is storage: as many saves at a time, with all their fsyncs, but without coordinators.</summary>
    private static async Task<double> EngineRateAsync(int silos, int migrations, string images, CancellationToken cancellationToken)
    {
        var count = Math.Min(migrations, 200);
        var local = Directory.CreateTempSubdirectory("dm-bench-engine-").FullName;
        try
        {
            var began = TimeProvider.System.GetTimestamp();
            await Parallel.ForAsync(
                0,
                count,
                new ParallelOptions { MaxDegreeOfParallelism = silos * ControlCluster.PlacesPerHost, CancellationToken = cancellationToken },
                async (i, token) => await EngineSave.RunAsync(
                    Text($"engine-{i}"), SyntheticGuest.PathOf(SyntheticGuest.Ordinary, i), SyntheticGuest.ConnectAsync, Path.Combine(images, Text($"engine-{i}")),
                    local, new WriterOptions(), () => { }, token));
            return count / TimeProvider.System.GetElapsedTime(began).TotalSeconds;
        }
        finally
        {
            Directory.Delete(local, recursive: true);
        }
    }

    private static TimeSpan CpuOf(ControlCluster cluster) => cluster.Hosts.Aggregate(TimeSpan.Zero, (sum, host) => sum + host.Cpu);

    private static void Say(int silos, string what) => Console.Error.WriteLine($"{silos} silo(s): {what}");

    private static string Text(FormattableString text) => FormattableString.Invariant(text);

    private sealed record Load(TimeSpan Total, TimeSpan Submitted, Samples Each, Samples Status, TimeSpan SiloCpu, TimeSpan RedisCpu);

    /// <summary>Migrations that do nothing: how fast they came to that, and what they take.</summary>
    private sealed record Idle(double PerSecond, string Memory);

    private sealed record Figures(int Silos, Load Load, Samples IdleStatus, Idle Queued, Idle Paused, double EngineRate);

    /// <summary>Ids in the order of their submission. Thread-safe.</summary>
    private sealed class Submissions : IEnumerable<string>
    {
        private readonly Lock _gate = new();
        private readonly List<string> _ids = [];

        public void Add(string id)
        {
            lock (_gate)
                _ids.Add(id);
        }

        public void Clear()
        {
            lock (_gate)
                _ids.Clear();
        }

        public string? PickOne()
        {
            lock (_gate)
                return _ids.Count == 0 ? null : _ids[Random.Shared.Next(_ids.Count)];
        }

        public IEnumerator<string> GetEnumerator()
        {
            lock (_gate)
                return _ids.ToList().GetEnumerator();
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }

    /// <summary>Submits saves of ever new guests to the hosts in turn.</summary>
    private sealed class Submitter(ControlCluster cluster, IGrainFactory grains, string images)
    {
        private int _number;

        public Submissions Submitted { get; } = new();

        public Task SubmitAsync(int count, string kind, CancellationToken cancellationToken)
        {
            var first = _number;
            _number += count;
            return Parallel.ForAsync(
                first,
                first + count,
                new ParallelOptions { MaxDegreeOfParallelism = SubmittersPerHost * cluster.Hosts.Count, CancellationToken = cancellationToken },
                async (i, _) =>
                {
                    var id = $"m-{Guid.NewGuid():n}"[..16];
                    await grains.GetGrain<IHostGrain>(cluster.Hosts[i % cluster.Hosts.Count].Name).Submit(
                        new MigrationRequest(
                            MigrationKind.Save, Text($"vm-{i}"), SyntheticGuest.PathOf(kind, i), Path.Combine(images, Text($"vm-{i}.img")), new SaveOptions(), null), id);
                    Submitted.Add(id);
                });
        }

        public async Task<MigrationStatus> WaitAsync(string id, Predicate<MigrationPhase> condition, CancellationToken cancellationToken)
        {
            var began = TimeProvider.System.GetTimestamp();
            MigrationStatus status;
            while (!condition((status = await grains.GetGrain<IMigrationGrain>(id).GetStatus()).Phase))
            {
                if (TimeProvider.System.GetElapsedTime(began) > Limit)
                    throw new InvalidOperationException($"Migration {id} is {status.Phase} still: {status.Message}");
                await Task.Delay(LookEvery, cancellationToken);
            }

            return status;
        }

        public Task<MigrationStatus> PauseAsync(string id) => grains.GetGrain<IMigrationGrain>(id).Pause();

        /// <summary>Waits until each host has given out so many places.</summary>
        public Task WaitForPlacesAsync(int held, CancellationToken cancellationToken) => Wait.UntilAsync(
            async () =>
            {
                var hosts = await Task.WhenAll(cluster.Hosts.Select(host => grains.GetGrain<IHostGrain>(host.Name).GetStatus()));
                return hosts.All(host => host.InUse(PlaceKind.Outgoing) == held);
            },
            Text($"{held} places are held"),
            cancellationToken: cancellationToken);
    }
}
