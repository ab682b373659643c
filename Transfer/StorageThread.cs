namespace DistMigrate.Transfer;

/// <summary>Runs calls to storage on a thread of their own, since they may never return and must not take one of the shared pool with them.</summary>
public static class StorageThread
{
    /// <summary>Runs it and tells its outcome.</summary>
    public static Task<T> RunAsync<T>(Func<T> work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);

    /// <inheritdoc cref="RunAsync{T}"/>
    public static Task RunAsync(Action work) =>
        Task.Factory.StartNew(work, CancellationToken.None, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);
}
