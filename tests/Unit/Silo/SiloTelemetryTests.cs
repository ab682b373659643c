using System.Diagnostics;
using DistMigrate.Contracts;
using DistMigrate.Grains.Metrics;
using DistMigrate.Silo;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Time.Testing;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Unit.Silo;

/// <summary>Alone: OpenTelemetry listens to the meters of the whole process.</summary>
[Collection(nameof(SiloTelemetryTests)), CollectionDefinition(nameof(SiloTelemetryTests), DisableParallelization = true)]
public sealed class SiloTelemetryTests(ITestOutputHelper output)
{
    /// <summary>OpenTelemetry shows no new series of an instrument that has reached its limit: a silo that has moved many guests must still show the next.</summary>
    [Fact]
    public async Task After_ten_thousand_migrations_of_as_many_guests_a_scrape_is_small_and_shows_the_last()
    {
        var builder = WebApplication.CreateSlimBuilder();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        SiloTelemetry.Add(builder.Services, new SiloSettings());
        await using var application = builder.Build();
        application.MapPrometheusScrapingEndpoint("/metrics");
        await application.StartAsync();
        var address = application.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        using var http = new HttpClient { BaseAddress = new Uri(address) };
        var time = new FakeTimeProvider();
        using var metrics = new MigrationMetrics(time);

        const int last = 10_000;
        var scrape = "";
        var took = TimeSpan.Zero;
        for (var i = 1; i <= last; i++)
        {
            metrics.Show(Sample(i, MigrationPhase.Active, null));
            metrics.Show(Sample(i, MigrationPhase.Completed, time.GetUtcNow()));
            if (i % 250 != 0)
                continue;

            // The endpoint answers from a cache for a moment of real time; instruments are made anew on the test's clock.
            time.Advance(TimeSpan.FromSeconds(10));
            await Lab.Wait.UntilAsync(
                async () =>
                {
                    var began = Stopwatch.GetTimestamp();
                    scrape = await http.GetStringAsync("/metrics");
                    took = Stopwatch.GetElapsedTime(began);
                    return scrape.Contains($"\"guest-{i}\"", StringComparison.Ordinal);
                },
                $"guest {i} is shown", details: () => string.Join("\n", scrape.Split("\n").Where(line => line.Contains("overflow", StringComparison.Ordinal) || line.Contains($"guest-{i - 1}\"", StringComparison.Ordinal)).Take(20)));
        }

        Assert.DoesNotContain("overflow", scrape, StringComparison.Ordinal);
        Assert.Equal(MigrationMetrics.MostEnded, scrape.Split("\ndistmigrate_migration_info{").Length - 1);
        Assert.InRange(scrape.Length, 1, 2 << 20);
        output.WriteLine($"after {last} migrations: {scrape.Length >> 10} KiB, in {took.TotalMilliseconds:0} ms");

        MigrationSample Sample(int i, MigrationPhase phase, DateTimeOffset? ended) => new(
            new MigrationSpec($"m-{i}", "host-a", time.GetUtcNow(), new MigrationRequest(MigrationKind.Save, $"guest-{i}", "/q", "/i", new SaveOptions(), null)),
            phase, FailureReason.None, time.GetUtcNow(), ended, time.GetUtcNow(), RamCounters.Empty, null, null);
    }
}
