namespace DistMigrate.Tests.Lab;

/// <summary>
/// The folder of one guest, with a short path because a Unix socket's may have 107 bytes. A test process that is killed cannot clean up,
/// and its guests would turn for ever: the folder names its owner, its QEMU and its memory folder, and the next test process ends
/// and removes what belongs to no living owner.
/// </summary>
internal sealed class LabFolder
{
    private const string Prefix = "dm-guest-";
    private const string OwnerFile = "owner";
    private const int LongestFileName = 16;
    private const int LongestSocketPath = 107;

    private static readonly Lazy<bool> SweptOnce = new(Sweep);

    private LabFolder(string path, string memoryPath)
    {
        Path = path;
        MemoryPath = memoryPath;
        WriteOwner(null);
    }

    public string Path { get; }

    public string MemoryPath { get; }

    public static LabFolder Create(string? memoryFolder)
    {
        _ = SweptOnce.Value;
        var path = Directory.CreateTempSubdirectory(Prefix).FullName;
        if (path.Length + 1 + LongestFileName > LongestSocketPath)
        {
            Directory.Delete(path);
            throw new InvalidOperationException($"The path {path} is too long for a Unix socket inside: set TMPDIR to a shorter one.");
        }

        var parent = memoryFolder ?? (Directory.Exists("/dev/shm") ? "/dev/shm" : path);
        var memory = System.IO.Path.Combine(parent, System.IO.Path.GetFileName(path) + "-ram");
        Directory.CreateDirectory(memory);
        return new LabFolder(path, memory);
    }

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public void WriteOwner(ProcessIdentity? qemu) =>
        System.IO.File.WriteAllLines(File(OwnerFile), [ProcessIdentity.Current.ToString(), qemu?.ToString() ?? "", MemoryPath]);

    public void Delete()
    {
        DeleteIfThere(MemoryPath);
        DeleteIfThere(Path);
    }

    private static bool Sweep()
    {
        foreach (var folder in Directory.EnumerateDirectories(System.IO.Path.GetTempPath(), Prefix + "*"))
        {
            try
            {
                var lines = System.IO.File.ReadAllLines(System.IO.Path.Combine(folder, OwnerFile));
                if (lines.Length != 3 || ProcessIdentity.Parse(lines[0]) is not { IsAlive: false })
                {
                    continue;
                }

                ProcessIdentity.Parse(lines[1])?.Kill();
                DeleteIfThere(lines[2]);
                DeleteIfThere(folder);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                // Another user's, just being made, or just being swept by another test process: not ours to judge.
            }
        }

        return true;
    }

    private static void DeleteIfThere(string folder)
    {
        if (Directory.Exists(folder))
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
