namespace DistMigrate.Bench;

/// <summary>The times of the engine's steps over the rounds.</summary>
internal sealed class StepTimes
{
    private long _since;
    private int _next;
    private bool _counts;

    /// <summary>The steps in their order.</summary>
    public static IReadOnlyList<string> Names { get; } =
    [
        "open: guest, storage, headers", "set the RAMBlocks up", "stop record, stop", "copy: read, hash, write", "device state, fsync", "shadow bitmaps",
        "fsync, tail, fsync, check, publish",
    ];

    public IReadOnlyList<Samples> Steps { get; } = [.. Names.Select(_ => new Samples())];

    /// <summary>Begins a round, counted or not.</summary>
    public void Begin(bool counts)
    {
        _counts = counts;
        _next = 0;
        _since = TimeProvider.System.GetTimestamp();
    }

    /// <summary>A step is done.</summary>
    public void Next()
    {
        if (_counts)
            Steps[_next].Add(TimeProvider.System.GetElapsedTime(_since));
        _next++;
        _since = TimeProvider.System.GetTimestamp();
    }
}
