using Orleans.Storage;

namespace DistMigrate.Tests.Unit.Grains;

/// <summary>Grain storage of which a test can let writes fail.</summary>
internal sealed class FailingStorage(IGrainStorage storage) : IGrainStorage
{
    private readonly Lock _gate = new();
    private string? _failNext;
    private string? _failAll;
    private int _failures;

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

    /// <summary>The name of the state whose writes fail until it is null again.</summary>
    public string? FailWritesOf
    {
        set
        {
            lock (_gate)
                (_failAll, _failures) = (value, 0);
        }
    }

    /// <summary>Writes that failed since <see cref="FailWritesOf"/> was set.</summary>
    public int Failures
    {
        get
        {
            lock (_gate)
                return _failures;
        }
    }

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        storage.ReadStateAsync(stateName, grainId, grainState);

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        lock (_gate)
        {
            if (_failNext == stateName || _failAll == stateName)
            {
                _failNext = null;
                _failures++;
                throw new IOException("The test says that the disk is full.");
            }
        }

        return storage.WriteStateAsync(stateName, grainId, grainState);
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) =>
        storage.ClearStateAsync(stateName, grainId, grainState);
}
