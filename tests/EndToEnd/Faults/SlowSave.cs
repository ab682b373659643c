using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>A save that goes on until the test ends it; a test that fails before leaves none behind for the next one.</summary>
internal sealed class SlowSave(FaultBench bench, string id) : IAsyncDisposable
{
    private bool _isOver;

    /// <summary>The migration.</summary>
    public string Id { get; } = id;

    /// <summary>Cancels it and asserts that this worked.</summary>
    public async Task<CommandResult> CancelAsync()
    {
        var result = (await bench.Product.RunAsync("cancel", Id)).ExpectOk();
        _isOver = true;
        return result;
    }

    /// <summary>Waits for its end, and gives the outcome.</summary>
    public async Task<CommandResult> WatchAsync(TimeSpan limit)
    {
        var result = await bench.Product.RunAsync(["watch", Id], limit);
        _isOver = true;
        return result;
    }

    public async ValueTask DisposeAsync()
    {
        if (!_isOver)
            await bench.Product.RunAsync("cancel", Id);
    }
}
