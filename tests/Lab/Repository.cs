using System.Runtime.CompilerServices;

namespace DistMigrate.Tests.Lab;

/// <summary>The repository that the tests were built from.</summary>
public static class Repository
{
    /// <summary>Its folder.</summary>
    public static string Root { get; } = Find();

    /// <summary>A file or folder of it, by its path from there.</summary>
    public static string Path(string path) => System.IO.Path.Combine(Root, path);

    /// <summary>Above this file as it was compiled, or above the test's own assembly.</summary>
    private static string Find([CallerFilePath] string thisFile = "") =>
        Above(System.IO.Path.GetDirectoryName(thisFile)) ?? Above(AppContext.BaseDirectory) ?? Above(Environment.CurrentDirectory)
        ?? throw new DirectoryNotFoundException($"No folder above {thisFile}, {AppContext.BaseDirectory} or {Environment.CurrentDirectory} holds DistMigrate.sln.");

    private static string? Above(string? folder)
    {
        while (folder is not null && !File.Exists(System.IO.Path.Combine(folder, "DistMigrate.sln")))
        {
            folder = System.IO.Path.GetDirectoryName(folder);
        }

        return folder;
    }
}
