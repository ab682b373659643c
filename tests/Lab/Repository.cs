using System.Runtime.CompilerServices;

namespace DistMigrate.Tests.Lab;

/// <summary>The repository that is tested.</summary>
public static class Repository
{
    /// <summary>Its folder: above this file as it was compiled, or above the test's own assembly.</summary>
    public static string Root { get; } = Find();

    /// <summary>A path in it.</summary>
    public static string At(params ReadOnlySpan<string> names) => Path.Combine([Root, .. names]);

    private static string Find([CallerFilePath] string thisFile = "") =>
        Above(Path.GetDirectoryName(thisFile)) ?? Above(AppContext.BaseDirectory) ?? Above(Environment.CurrentDirectory)
        ?? throw new DirectoryNotFoundException($"No folder above {thisFile}, {AppContext.BaseDirectory} or {Environment.CurrentDirectory} holds DistMigrate.sln.");

    private static string? Above(string? folder)
    {
        while (folder is not null && !File.Exists(Path.Combine(folder, "DistMigrate.sln")))
        {
            folder = Path.GetDirectoryName(folder);
        }

        return folder;
    }
}
