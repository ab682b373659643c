namespace DistMigrate.Client.Watching;

/// <summary>Shows a migration while it runs.</summary>
internal interface IProgressView
{
    /// <summary>How often it can show something new.</summary>
    TimeSpan Period { get; }

    /// <summary>Whether it shows RAMBlocks; they are not asked for otherwise.</summary>
    bool ShowsBlocks { get; }

    /// <summary>Shows what the body tells, until the body ends.</summary>
    Task<T> RunAsync<T>(Func<IProgressSink, Task<T>> body);
}

/// <summary>Takes what is to be shown.</summary>
internal interface IProgressSink
{
    void Show(Snapshot snapshot);

    /// <summary>Shows one line that is not about the migration itself, such as a lost connection.</summary>
    void Say(string message);
}
