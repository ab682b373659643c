namespace DistMigrate.Client.Connection;

/// <summary>Finds the silo's executable.</summary>
internal static class SiloProgram
{
    public const string FileName = "distmigrate-silo";

    /// <exception cref="CommandException">There is none.</exception>
    public static string Find(ClientSettings settings, string programFolder)
    {
        if (settings.SiloProgram is { } configured)
            return File.Exists(configured)
                ? Path.GetFullPath(configured)
                : throw new CommandException(
                    ExitCode.Unreachable, $"DISTMIGRATE_SILO names {configured}, which does not exist.", "correct it, or unset it");

        var candidates = Candidates(programFolder).ToList();
        return candidates.Find(File.Exists)
            ?? throw new CommandException(
                ExitCode.Unreachable,
                $"no silo runs, and its program {FileName} was not found, so that none can be started. Looked for: {string.Join(", ", candidates)}.",
                "build the solution, set DISTMIGRATE_SILO to the program's path, or configure a cluster (DISTMIGRATE_GATEWAYS, DISTMIGRATE_CLUSTER_ID)");
    }

    private static IEnumerable<string> Candidates(string programFolder)
    {
        var folder = Path.TrimEndingDirectorySeparator(Path.GetFullPath(programFolder));
        yield return Path.Combine(folder, FileName);

        // In a build tree each project has its folder, with one folder below it for each configuration: the same one goes first.
        if (Path.GetDirectoryName(Path.GetDirectoryName(folder)) is not { } projects)
            yield break;
        foreach (var configuration in new[] { Path.GetFileName(folder), "release", "debug" }.Distinct())
            yield return Path.Combine(projects, "DistMigrate.Silo", configuration, FileName);
    }
}
