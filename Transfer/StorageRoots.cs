namespace DistMigrate.Transfer;

/// <summary>The folders below which images may lie. Links are followed before a path is judged.</summary>
/// <param name="roots">Absolute paths.</param>
public sealed class StorageRoots(IReadOnlyList<string> roots)
{
    /// <summary>Links that one path may lead through, as many as the kernel follows.</summary>
    private const int MaxLinks = 40;

    private static readonly TimeSpan AnswerLimit = TimeSpan.FromSeconds(8);

    private readonly string[] _roots = [.. roots.Select(Real)];

    /// <summary>The path of an image with every link followed, its own too.</summary>
    /// <exception cref="ImageException">It is not absolute, not below a root, its folder does not exist, or its links go in a circle.</exception>
    public string Resolve(string imagePath)
    {
        ArgumentNullException.ThrowIfNull(imagePath);
        if (!Path.IsPathFullyQualified(imagePath) || imagePath.Contains('\0', StringComparison.Ordinal))
            throw new ImageException(ImageFault.OutsideRoots, $"The image path '{imagePath}' is not absolute. Give it from the root on.");
        var full = Real(imagePath);
        var name = Path.GetFileName(full);
        var folder = Path.GetDirectoryName(full);
        if (name.Length == 0 || folder is null || Path.EndsInDirectorySeparator(imagePath) || Directory.Exists(full))
            throw new ImageException(ImageFault.OutsideRoots, $"'{imagePath}' is a folder. Give the image a file name.");
        if (!IsBelowARoot(folder))
        {
            throw new ImageException(ImageFault.OutsideRoots,
                $"{imagePath} is not below a storage root of this host ({string.Join(", ", _roots)}). "
                + "Choose a path below one, or add a root to the silo's configuration (Storage:Roots).");
        }

        if (!Directory.Exists(folder))
            throw new ImageException(ImageFault.NotFound, $"The folder {folder} does not exist on this host. Create it or mount the storage.");
        return full;
    }

    /// <summary>The root below which an image lies, with every link followed; the innermost one, or "/" when none is above it any more.</summary>
    /// <param name="resolved">A path that <see cref="Resolve"/> gave.</param>
    public string RootOf(string resolved) => _roots.Where(root => IsBelow(Path.GetDirectoryName(resolved)!, root)).MaxBy(root => root.Length) ?? "/";

    /// <summary><see cref="Resolve"/> on a thread of its own, since storage may hang.</summary>
    /// <exception cref="ImageException">As there; Stalled when the storage did not answer in time.</exception>
    public static Task<string> ResolveAsync(IReadOnlyList<string> roots, string imagePath, TimeProvider time) =>
        AskAsync(roots, imagePath, time, storage => storage.Resolve(imagePath));

    /// <summary><see cref="RootOf"/> on a thread of its own, since storage may hang.</summary>
    /// <exception cref="ImageException">Stalled: the storage did not answer in time.</exception>
    public static Task<string> RootOfAsync(IReadOnlyList<string> roots, string resolved, TimeProvider time) =>
        AskAsync(roots, resolved, time, storage => storage.RootOf(resolved));

    private static async Task<string> AskAsync(IReadOnlyList<string> roots, string imagePath, TimeProvider time, Func<StorageRoots, string> question)
    {
        try
        {
            return await StorageThread.RunAsync(() => question(new StorageRoots(roots))).WaitAsync(AnswerLimit, time);
        }
        catch (TimeoutException e)
        {
            throw new ImageException(ImageFault.Stalled,
                $"The storage of {imagePath} did not answer within {AnswerLimit.TotalSeconds:0} s. Look at it and its network, then try again.", e);
        }
    }

    private bool IsBelowARoot(string folder) => Array.Exists(_roots, root => IsBelow(folder, root));

    private static bool IsBelow(string folder, string root) => root == "/" || folder == root || folder.StartsWith(root + "/", StringComparison.Ordinal);

    private static string Real(string path)
    {
        var links = 0;
        return Real(Path.GetFullPath(path), ref links);
    }

    /// <summary>Follows links from the root on; parts that do not exist stay as they are.</summary>
    private static string Real(string path, ref int links)
    {
        var real = "/";
        foreach (var part in path.Split('/', StringSplitOptions.RemoveEmptyEntries))
        {
            real = Path.Combine(real, part);
            if (new FileInfo(real).LinkTarget is not { } target)
                continue;
            if (++links > MaxLinks)
                throw new ImageException(ImageFault.Storage, $"{path} leads through more than {MaxLinks} links. They may go in a circle; set them right.");
            real = Real(Path.GetFullPath(target, Path.GetDirectoryName(real)!), ref links);
        }

        return real;
    }
}
