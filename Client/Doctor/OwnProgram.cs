namespace DistMigrate.Client.Doctor;

/// <summary>This command's own executable.</summary>
internal static class OwnProgram
{
    public static string PathOf(Surroundings surroundings) => Path.Combine(surroundings.ProgramFolder, "distmigrate");
}
