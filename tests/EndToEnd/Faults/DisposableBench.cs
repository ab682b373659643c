namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>A bench of one test, whose silo may write to a mounted file system as well; it ends before that is unmounted.</summary>
internal sealed class DisposableBench : IAsyncDisposable
{
    public DisposableBench(MountedFolder storage) => Value.Product.Settings["DISTMIGRATE_Storage__Roots__1"] = storage.Path;

    public FaultBench Value { get; } = new();

    public async ValueTask DisposeAsync() => await Value.DisposeAsync();
}
