using System.Globalization;

namespace DistMigrate.Bench;

/// <summary>The rounds of one way.</summary>
internal sealed class SaveFigures
{
    public Samples AsShipped { get; } = new();

    public Samples Synced { get; } = new();

    public Samples Command { get; } = new();

    public void Add(SaveTimes times)
    {
        AsShipped.Add(times.AsShipped);
        Synced.Add(times.Synced);
        if (times.Command is { } command)
            Command.Add(command);
    }

    /// <summary>A row of the table; the bandwidth is of the durable save where there is one.</summary>
    public string[] ToRow(string name, long bytes, bool hasShipped, bool hasSynced) =>
    [
        name,
        hasShipped ? Samples.Seconds(AsShipped.Median) : "",
        hasShipped ? Samples.Seconds(AsShipped.Min) : "",
        hasSynced ? Samples.Seconds(Synced.Median) : "",
        hasSynced ? Samples.Seconds(Synced.Min) : "",
        (bytes / 1e6 / (hasSynced ? Synced : AsShipped).Median).ToString("0", CultureInfo.InvariantCulture),
        Samples.Seconds(Command.Median),
    ];
}
