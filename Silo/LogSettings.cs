namespace DistMigrate.Silo;

/// <summary>How a silo's log looks.</summary>
internal enum LogFormat
{
    /// <summary>Lines for people; for journald where that reads them.</summary>
    Text,

    /// <summary>One JSON object a line.</summary>
    Json,
}

/// <summary>A silo's log, on its standard output.</summary>
internal sealed class LogSettings
{
    [Setting("lines for people, with the priorities of journald where that reads them; or one JSON object a line")]
    public LogFormat Format { get; set; } = LogFormat.Text;

    [Setting("the least level of DistMigrate's own lines; others appear from `Warning` on")]
    public LogLevel Level { get; set; } = LogLevel.Information;
}
