namespace DistMigrate.Client.Doctor;

/// <summary>What a check came to.</summary>
internal enum Verdict
{
    /// <summary>As it should be.</summary>
    Ok,

    /// <summary>It works, with a consequence that the operator should know.</summary>
    Warning,

    /// <summary>It does not work, or is not safe.</summary>
    Failed,

    /// <summary>Nobody looked, because something before it failed or was not asked for.</summary>
    NotTried,
}
