using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>A product whose silo may write to a GlusterFS, with short fsync epochs, and its guest: for the tests of a class, until one fails.</summary>
public sealed class GlusterBench : IAsyncLifetime
{
    private FaultBench? _bench;
    private GlusterStorage? _storage;

    /// <summary>Runs a test; after one that fails the next gets everything anew.</summary>
    internal async Task RunAsync(Func<FaultBench, GlusterStorage, Task> test)
    {
        try
        {
            _storage ??= await GlusterStorage.StartAsync();
            if (_bench is null)
            {
                _bench = new FaultBench();
                _bench.Product.Settings["DISTMIGRATE_Limits__EpochTime"] = "00:00:01";
                _bench.Product.Settings["DISTMIGRATE_Storage__Roots__1"] = _storage.Path;
            }

            await test(_bench, _storage);
        }
        catch
        {
            await DisposeAsync();
            throw;
        }
    }

    public Task InitializeAsync() => Task.CompletedTask;

    public async Task DisposeAsync()
    {
        // The storage first: a silo that waits for it cannot be killed before it is answered.
        if (_storage is not null)
            await _storage.DisposeAsync();
        if (_bench is not null)
            await _bench.DisposeAsync();
        _storage = null;
        _bench = null;
    }
}
