using System.Globalization;
using System.Text.RegularExpressions;
using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Monitoring;
using DistMigrate.Tests.Lab.Storage;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Cluster;

/// <summary>
/// Every query of every dashboard, every alert and every recorded rule gives data from a real Prometheus that scraped real silos, while
/// guests were saved and moved and their storage ran full.
/// </summary>
public sealed partial class DashboardDataTests(ITestOutputHelper output)
{
    private const int DiskMiB = 160;

    /// <summary>A paused save tries its storage again after up to half a minute, and a busy machine takes its time.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    /// <summary>As Grafana has it: four times the scrape interval.</summary>
    private const string RateInterval = "4s";

    // Slower than the guest changes its memory, and slow enough to be met by faults.
    private const string SlowRate = "2MiB/s";

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest | LabNeeds.Prometheus | LabNeeds.LoopDisk)]
    public async Task Every_query_gives_data_while_guests_are_saved_and_moved_and_their_storage_runs_full()
    {
        using var disk = await LoopDisk.MakeAsync(DiskMiB);

        // What a migration of long ago has left: it begins as every image does.
        await File.WriteAllBytesAsync(disk.At("forgotten.img.partial"), [.. "QEVM"u8, .. new byte[1 << 20]]);
        await using var cluster = await ClusterUnderTest.StartAsync(settings: new Dictionary<string, string>
        {
            ["DISTMIGRATE_Storage__Roots__0"] = disk.Path,
            ["DISTMIGRATE_Limits__MaxDowntime"] = "00:00:01",
        });
        await using var prometheus = await PrometheusServer.StartAsync(cluster.Hosts.ToDictionary(host => host.Name, host => host.MetricsAddress));

        // A counter that is first seen with its first increase shows none.
        await prometheus.WaitForAsync("count(up{job=\"distmigrate\"} == 1) == 3 and count(distmigrate_build_info) == 3", details: () => cluster.Log);
        var start = await NowAsync(prometheus);

        await MoveAsync(cluster, prometheus);
        await SaveUntilTwiceAsync(cluster, prometheus, disk);
        await FailAsync(cluster, disk);
        await SaveThroughFaultAsync(cluster, prometheus, disk);

        // Of the silo that is killed, nothing else is asked any more.
        await cluster.Hosts[2].KillAsync();
        await prometheus.WaitForAsync("up{job=\"distmigrate\"} == 0");

        // Rounded up, since a range is evaluated in whole seconds from its start.
        var end = (await NowAsync(prometheus)).AddSeconds(1);

        var empty = await EmptyAsync(prometheus, start, end);
        output.WriteLine(string.Join('\n', empty));
        Assert.Empty(empty);
    }

    /// <summary>A live move, which gives the downtime in its parts.</summary>
    private static async Task MoveAsync(ClusterUnderTest cluster, PrometheusServer prometheus)
    {
        await using var source = await cluster.Hosts[1].StartGuestAsync("moved");
        await prometheus.WaitForAsync("distmigrate_guest_running{guest=\"moved\", host=\"host-b\"} == 1", details: () => cluster.Log);
        (await cluster.RunAsync("move", "moved", "--from", "host-b", "--to", "host-c", "--max-downtime", "30s", "--detach")).ExpectOk();
        await prometheus.WaitForAsync("distmigrate_migration_info{guest=\"moved\", result=\"completed\"}", Limit, () => cluster.Log);
        await cluster.Hosts[2].Launched("moved").WaitForStepsAsync();
        await prometheus.WaitForAsync("sum(distmigrate_migrations_total{kind=\"move\", result=\"completed\"}) == 1", details: () => cluster.Log);
        await prometheus.WaitForAsync("distmigrate_guest_running{guest=\"moved\", host=\"host-c\"} == 1", details: () => cluster.Log);
    }

    /// <summary>
    /// A silo has no histogram before the first event of its kind, and what is first seen at 1 shows no increase. Coordinators may be on any
    /// silo, so one of them has its second save after at most one more than there are silos.
    /// </summary>
    private static async Task SaveUntilTwiceAsync(ClusterUnderTest cluster, PrometheusServer prometheus, LoopDisk disk)
    {
        for (var saves = 1; saves <= cluster.Hosts.Count + 1; saves++)
        {
            (await cluster.RunAsync("save", "moved", disk.At("moved.img"), "--host", "host-c", "--force", "--then", "run", "--max-downtime", "30s", "--detach")).ExpectOk();
            await prometheus.WaitForAsync($"sum(distmigrate_migrations_total{{kind=\"save\", result=\"completed\"}}) == {saves}", Limit, () => cluster.Log);
        }

        await prometheus.WaitForAsync("sum(increase(distmigrate_migration_downtime_part_seconds_count{kind=\"save\"}[5m])) > 0", details: () => cluster.Log);
    }

    private static async Task FailAsync(ClusterUnderTest cluster, LoopDisk disk)
    {
        var failed = await cluster.RunAsync("save", "absent", disk.At("absent.img"), "--host", "host-a", "--qmp", "/nonexistent/qmp");
        Assert.NotEqual(0, failed.ExitCode);
    }

    /// <summary>A live save whose storage runs full, which is paused for that, goes on by itself when there is room, and does not converge before it is told to end.</summary>
    private static async Task SaveThroughFaultAsync(ClusterUnderTest cluster, PrometheusServer prometheus, LoopDisk disk)
    {
        await using var guest = await cluster.Hosts[0].StartGuestAsync("saved");
        var image = disk.At("saved.img");
        var id = (await cluster.RunAsync(
            "save", "saved", image, "--host", "host-a", "--then", "run", "--mode", "compare", "--policy", "minimal-downtime", "--max-downtime", "10ms", "--bwlimit", SlowRate, "--detach"))
            .ExpectOk().Output.Trim();
        await Has("sum(distmigrate_ramblock_pages{guest=\"saved\", state=~\"written|durable\"}) > 256");
        disk.Fill();
        await Has("distmigrate_migration_info{guest=\"saved\", phase=\"paused\", reason=\"no-space\"}");
        await Has("distmigrate_migration_data_remaining_bytes{guest=\"saved\"} > 0 and on (guest, instance) distmigrate_migration_transfer_rate_bytes_per_second == 0");

        disk.Free();
        await Has("sum(increase(distmigrate_resumes_total{result=\"resumed\"}[10s])) > 0");
        await Has("guest:distmigrate_dirty_to_transfer:ratio > 1");
        (await cluster.RunAsync("complete", id, "--detach")).ExpectOk();
        await Has("distmigrate_migration_info{guest=\"saved\", phase=\"completed\"} and on (guest) distmigrate_migration_end_time_seconds");
        await guest.WaitForStepsAsync();

        // The metrics themselves say how far it is: no command has to be started for that.
        Task Has(string expression) => prometheus.WaitForAsync(expression, Limit, () => cluster.Log);
    }

    /// <summary>What gives nothing, and should.</summary>
    private static async Task<IReadOnlyList<string>> EmptyAsync(PrometheusServer prometheus, DateTimeOffset start, DateTimeOffset end)
    {
        var span = string.Create(CultureInfo.InvariantCulture, $"{Math.Ceiling((end - start).TotalSeconds)}s");
        var asked = new List<(string What, string Expression)>();
        foreach (var dashboard in Dashboard.ReadAll())
        {
            asked.AddRange(dashboard.Queries.Select(query => (query.ToString(), Substitute(query.Expression, span))));
            asked.AddRange(
                from lookup in dashboard.Lookups
                let parts = LabelValues().Match(lookup.Query)
                select ($"{dashboard.Name}, variable {lookup.Variable}: {lookup.Query}", $"count by ({parts.Groups[2].Value}) ({Substitute(parts.Groups[1].Value, span)})"));
        }

        var rules = await prometheus.RulesAsync();
        Assert.Contains(rules, rule => rule.IsAlert);
        Assert.Contains(rules, rule => !rule.IsAlert);
        Assert.All(ExpectedEmpty.Alerts.Keys, name => Assert.Contains(rules, rule => rule.Name == name));
        asked.AddRange(rules.Where(rule => !ExpectedEmpty.Alerts.ContainsKey(rule.Name)).Select(rule => ($"rule {rule.Name}: {rule.Expression}", rule.Expression)));
        asked.AddRange(rules.Where(rule => !rule.IsAlert).Select(rule => ($"record {rule.Name}", rule.Name)));

        var empty = new List<string>();
        foreach (var (what, expression) in asked)
        {
            if ((await prometheus.QueryAsync(expression, start, end)).Count == 0)
                empty.Add(what);
        }

        return empty;
    }

    private static string Substitute(string expression, string range)
    {
        var text = expression.Replace("$__rate_interval", RateInterval, StringComparison.Ordinal).Replace("$__range", range, StringComparison.Ordinal);
        return Variable().Replace(text, ".+");
    }

    /// <summary>Prometheus' own clock decides what it has by now.</summary>
    private static async Task<DateTimeOffset> NowAsync(PrometheusServer prometheus) =>
        DateTimeOffset.FromUnixTimeMilliseconds((long)((await prometheus.QueryAsync("vector(time())"))[0].Values[0] * 1000));

    [GeneratedRegex(@"\$\{?\w+\}?")]
    private static partial Regex Variable();

    [GeneratedRegex(@"label_values\((.+), (\w+)\)")]
    private static partial Regex LabelValues();
}
