using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Bench;

/// <summary>Storage that can be broken in one way, and repaired.</summary>
internal sealed class FaultyStorage : IAsyncDisposable
{
    private readonly Func<Task> _break;
    private readonly Func<Task> _repair;
    private readonly Func<ValueTask> _dispose;

    private FaultyStorage(string path, Func<Task> breakIt, Func<Task> repair, Func<ValueTask> dispose)
    {
        Path = path;
        _break = breakIt;
        _repair = repair;
        _dispose = dispose;
    }

    /// <summary>The ways, with their rows' names.</summary>
    public static IReadOnlyList<(string Name, Func<Task<FaultyStorage>> MakeAsync)> All { get; } =
    [
        ("GlusterFS, brick killed", () => OnGlusterAsync(Now(s => s.KillBrick()), s => s.RestartBrickAsync())),
        ("GlusterFS, brick stands still", () => OnGlusterAsync(Now(s => s.StopBrick()), ThenWritable(s => s.ContinueBrick()))),
        ("GlusterFS, link down", () => OnGlusterAsync(Now(s => s.LinkDown()), ThenWritable(s => s.LinkUp()))),
        ("GlusterFS, brick full", () => OnGlusterAsync(Now(s => s.FillBrick()), ThenWritable(s => s.FreeBrick()))),
        ("GlusterFS, random errors", () => OnGlusterAsync(s => s.InjectErrorsAsync(percent: 5), s => s.EndErrorsAsync())),
        ("ext4, full", OnExt4Async),
    ];

    /// <summary>Its root.</summary>
    public string Path { get; }

    public Task BreakAsync() => _break();

    /// <summary>Returns once files can be written again.</summary>
    public Task RepairAsync() => _repair();

    public ValueTask DisposeAsync() => _dispose();

    private static async Task<FaultyStorage> OnGlusterAsync(Func<GlusterStorage, Task> breakIt, Func<GlusterStorage, Task> repair)
    {
        var storage = await GlusterStorage.StartAsync();
        return new FaultyStorage(storage.Path, () => breakIt(storage), () => repair(storage), storage.DisposeAsync);
    }

    private static async Task<FaultyStorage> OnExt4Async()
    {
        var disk = await LoopDisk.MakeAsync(256);
        return new FaultyStorage(
            disk.Path,
            () =>
            {
                disk.Fill();
                return Task.CompletedTask;
            },
            () =>
            {
                disk.Free();
                return Task.CompletedTask;
            },
            () =>
            {
                disk.Dispose();
                return ValueTask.CompletedTask;
            });
    }

    private static Func<GlusterStorage, Task> Now(Action<GlusterStorage> action) => storage =>
    {
        action(storage);
        return Task.CompletedTask;
    };

    private static Func<GlusterStorage, Task> ThenWritable(Action<GlusterStorage> action) => storage =>
    {
        action(storage);
        return storage.WaitUntilWritableAsync();
    };
}
