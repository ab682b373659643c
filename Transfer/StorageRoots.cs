namespace DistMigrate.Transfer;

/// <summary>The folders below which images may lie. Links are followed before a path is judged.</summary>
/// <param name="roots">Absolute paths.</param>
public sealed class StorageRoots(IReadOnlyList<string> roots)
{
    private readonly string[] _roots = [.. roots.Select(root => Real(Path.GetFullPath(root)))];

    /// <summary>The path of an image with every link of its folder followed.</summary>
    /// <exception cref="ImageException">It is not absolute, not below a root, or its folder does not exist.</exception>
    public string Resolve(string imagePath)
    {
        ArgumentNullException.ThrowIfNull(imagePath);
        if (!Path.IsPathFullyQualified(imagePath) || imagePath.Contains('\0', StringComparison.Ordinal))
            throw new ImageException(ImageFault.OutsideRoots, $"The image path '{imagePath}' is not absolute. Give it from the root on.");
        var full = Path.GetFullPath(imagePath);
        var name = Path.GetFileName(full);
        var folder = Path.GetDirectoryName(full);
        if (name.Length == 0 || folder is null || Directory.Exists(full))
            throw new ImageException(ImageFault.OutsideRoots, $"'{imagePath}' is a folder. Give the image a file name.");
        if (!IsBelowARoot(Real(folder)))
        {
            throw new ImageException(ImageFault.OutsideRoots,
                $"{imagePath} is not below a storage root of this host ({string.Join(", ", _roots)}). "
                + "Choose a path below one, or add a root to the silo's configuration (Storage:Roots).");
        }

        if (!Directory.Exists(folder))
            throw new ImageException(ImageFault.NotFound, $"The folder {folder} does not exist on this host. Create it or mount the storage.");
        return Path.Combine(Real(folder), name);
    }

    private bool IsBelowARoot(string folder) =>
        Array.Exists(_roots, root => root == "/" || folder == root || folder.StartsWith(root + "/", StringComparison.Ordinal));

    /// <summary>Follows links from the root on; parts that do not exist stay as they are.</summary>
    private static string Real(string path)
    {
        var real = "/";
        foreach (var part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            real = Path.Combine(real, part);
            if (Path.Exists(real) && new DirectoryInfo(real).ResolveLinkTarget(returnFinalTarget: true) is { } target)
                real = Real(target.FullName);
        }

        return real;
    }
}
