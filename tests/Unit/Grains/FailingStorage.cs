using Orleans.Storage;

namespace DistMigrate.Tests.Unit.Grains;

/// <summary>Grain storage of which a test can let one write fail.</summary>
internal sealed class FailingStorage(IGrainStorage storage) : IGrainStorage
{
    private readonly Lock _gate = new();
    private string? _failNext;

    /// <summary>The name of the state whose next write fails; null again once it did.</summary>
    public string? FailNextWriteOf
    {
        get
        {
            lock (_gate)
                return _failNext;
        }

        set
        {
            lock (_gate)
                _failNext = value;
        }
    }

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        storage.ReadStateAsync(stateName, grainId, grainState);

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        lock (_gate)
        {
            if (_failNext == stateName)
            {
                _failNext = null;
                throw new IOException("The test says that the disk is full.");
            }
        }

        return storage.WriteStateAsync(stateName, grainId, grainState);
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        storage.ClearStateAsync(stateName, grainId, grainState);
}
