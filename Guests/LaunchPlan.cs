namespace DistMigrate.Guests;

/// <summary>A QEMU that could be launched: its argument list and the files that it makes.</summary>
public sealed record LaunchPlan
{
    /// <summary>The program, then its arguments. They may hold secrets: never log them.</summary>
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>Files of guest RAM that QEMU makes, which must not exist before.</summary>
    public required IReadOnlyList<string> MemoryFiles { get; init; }

    /// <summary>Sockets that QEMU makes, our monitor among them.</summary>
    public required IReadOnlyList<string> Sockets { get; init; }

    /// <summary>Named pipes that must be there before QEMU starts.</summary>
    public required IReadOnlyList<string> Pipes { get; init; }

    /// <summary>Folders and devices that guest RAM is in, most often hugetlbfs; they stay as they are in the source's arguments.</summary>
    public required IReadOnlyList<string> KeptMemoryPaths { get; init; }

    /// <summary>Whether guest RAM is in huge pages without a path (<c>memory-backend-memfd,hugetlb=on</c>).</summary>
    public required bool UsesHugePages { get; init; }

    /// <summary>
    /// Makes the argument list of a QEMU that waits for the guest of another. What belongs to one process is removed or replaced
    /// (docs/operations.md lists it); everything else stays letter by letter. A plan made from its own arguments is the same.
    /// </summary>
    /// <param name="source">The source's arguments, its program first, as /proc/PID/cmdline has them.</param>
    /// <param name="placement">Where its files go.</param>
    /// <param name="isKeptMemoryPath">Whether guest RAM at a path stays there; by default a folder or a device of this host.</param>
    /// <exception cref="GuestException">Unsupported: an argument cannot be carried over, or a socket's path is too long.</exception>
    public static LaunchPlan Compose(IReadOnlyList<string> source, LaunchPlacement placement, Func<string, bool>? isKeptMemoryPath = null) =>
        new LaunchArguments(placement, isKeptMemoryPath ?? IsFolderOrDevice).Compose(source);

    /// <summary>The same QEMU with RAMBlocks that are private mappings of an image; the image has to stay as long as it runs.</summary>
    /// <param name="imagePath">The image.</param>
    /// <param name="blocks">Its RAMBlocks that are mapped.</param>
    /// <exception cref="GuestException">Unsupported: guest RAM stands in the arguments in a way that is not known.</exception>
    public LaunchPlan Mapping(string imagePath, IReadOnlyList<MappedBlock> blocks) => MappedMemory.Apply(this, imagePath, blocks);

    internal static bool IsDevice(string path) => path.StartsWith("/dev/", StringComparison.Ordinal) && !path.StartsWith("/dev/shm/", StringComparison.Ordinal);

    private static bool IsFolderOrDevice(string path) => Directory.Exists(path) || IsDevice(path);
}
