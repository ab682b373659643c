namespace DistMigrate.Bench;

/// <summary>A save whose storage is broken while it is under way.</summary>
internal interface IFaultedSave : IAsyncDisposable
{
    /// <summary>Starts it at a rate that leaves time for the fault.</summary>
    Task StartAsync(CancellationToken cancellationToken);

    /// <summary>Bytes of pages that it says it has written so far.</summary>
    Task<long> WrittenAsync(CancellationToken cancellationToken);

    Task<SaveState> StateAsync(CancellationToken cancellationToken);
}
