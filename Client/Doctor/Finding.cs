namespace DistMigrate.Client.Doctor;

/// <summary>The outcome of one check.</summary>
/// <param name="Verdict">The verdict.</param>
/// <param name="Found">What was found.</param>
/// <param name="Why">Why it matters; null where all is well.</param>
/// <param name="Fix">What to do; null where all is well.</param>
internal sealed record Finding(Verdict Verdict, string Found, string? Why = null, string? Fix = null)
{
    public static Finding Ok(string found) => new(Verdict.Ok, found);

    public static Finding Warning(string found, string why, string fix) => new(Verdict.Warning, found, why, fix);

    public static Finding Failed(string found, string why, string fix) => new(Verdict.Failed, found, why, fix);

    public static Finding NotTried(string why) => new(Verdict.NotTried, why);
}
