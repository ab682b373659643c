namespace DistMigrate.Silo;

/// <summary>Folders that only this user may enter.</summary>
internal static class PrivateFolder
{
    /// <summary>Creates it with mode 0700, unless it is there.</summary>
    public static void Create(string path) =>
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
}
