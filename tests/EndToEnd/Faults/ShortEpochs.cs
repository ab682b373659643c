namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>A bench whose silo closes an fsync epoch every second, so that a small guest's pages become durable in many steps.</summary>
public sealed class ShortEpochs : IAsyncLifetime
{
    public FaultBench Bench { get; } = new();

    public Task InitializeAsync()
    {
        Bench.Product.Settings["DISTMIGRATE_Limits__EpochTime"] = "00:00:01";
        return Task.CompletedTask;
    }

    public Task DisposeAsync() => Bench.DisposeAsync();
}
