namespace DistMigrate.Client.Doctor;

/// <summary>What is examined.</summary>
internal enum SubjectKind
{
    /// <summary>This host.</summary>
    Host,

    /// <summary>A guest, by its monitor.</summary>
    Guest,

    /// <summary>A folder for images.</summary>
    Storage,
}

/// <summary>One thing that is examined.</summary>
/// <param name="Kind">Its kind.</param>
/// <param name="Name">The host's name, the monitor's socket, or the folder.</param>
internal sealed record Subject(SubjectKind Kind, string Name);

/// <summary>One check of a subject and its outcome.</summary>
/// <param name="Subject">What was examined.</param>
/// <param name="Check">The check's id, which scripts may rely on.</param>
/// <param name="Finding">The outcome.</param>
internal sealed record CheckResult(Subject Subject, string Check, Finding Finding);
