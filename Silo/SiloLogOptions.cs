using Microsoft.Extensions.Logging.Console;

namespace DistMigrate.Silo;

/// <summary>How log lines look.</summary>
internal sealed class SiloLogOptions : ConsoleFormatterOptions
{
    /// <summary>This host's name.</summary>
    public string Host { get; set; } = "";

    /// <summary>Whether journald reads them.</summary>
    public bool IsJournal { get; set; }
}
