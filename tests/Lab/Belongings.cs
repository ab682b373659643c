using System.Collections.Concurrent;
using System.Globalization;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// What a storage, a network or a cluster of a test has on the machine: a folder, processes, mounts and network namespaces. Each is written
/// down in the folder, so that the next test process can undo what belongs to an owner that was killed. Disposing undoes everything.
/// </summary>
public sealed class Belongings : IDisposable
{
    private const string Prefix = "dm-lab-";
    private const string RecordFile = "belongings";
    private const string Process = "process";
    private const string MountPoint = "mount";
    private const string Namespace = "namespace";
    private const string Leftover = "file";

    private static readonly ConcurrentDictionary<Belongings, bool> Living = new();
    private static readonly Lazy<bool> SweptOnce = new(Sweep);

    static Belongings() =>
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var belongings in Living.Keys)
            {
                belongings.Dispose();
            }
        };

    private Belongings(string folder) => Folder = folder;

    /// <summary>A folder of our own with a short path, since Unix sockets lie in it.</summary>
    public string Folder { get; }

    /// <summary>An empty folder; the first call also undoes what earlier test processes left.</summary>
    public static Belongings Create()
    {
        _ = SweptOnce.Value;
        var created = new Belongings(Directory.CreateTempSubdirectory(Prefix).FullName);
        created.Write($"owner {ProcessIdentity.Current}");
        Living[created] = true;
        return created;
    }

    /// <summary>A path in <see cref="Folder"/>.</summary>
    public string At(string name) => Path.Combine(Folder, name);

    /// <summary>A new folder in <see cref="Folder"/>.</summary>
    public string MakeFolder(string name) => Directory.CreateDirectory(At(name)).FullName;

    /// <summary>A process that ends with the rest.</summary>
    public ProcessIdentity AddProcess(int pid)
    {
        var process = ProcessIdentity.Of(pid)
            ?? throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"Process {pid} has ended already."));
        Write($"{Process} {process}");
        return process;
    }

    /// <summary>A path that is about to be mounted.</summary>
    public void AddMount(string path) => Write($"{MountPoint} {path}");

    /// <summary>A file outside <see cref="Folder"/> that a program of ours leaves behind.</summary>
    public void AddFile(string path) => Write($"{Leftover} {path}");

    /// <summary>A folder in memory, for guests' RAM.</summary>
    public string MakeMemoryFolder()
    {
        var path = Path.Combine("/dev/shm", Path.GetFileName(Folder));
        Write($"{Leftover} {path}");
        return Directory.CreateDirectory(path).FullName;
    }

    /// <summary>Makes a network namespace without a way out, and returns its path.</summary>
    public async Task<string> MakeNamespaceAsync(string name)
    {
        Write($"{Namespace} {name}");
        await StorageProgram.RunAsync("ip", "netns", "add", name);
        return $"/run/netns/{name}";
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Living.TryRemove(this, out _))
        {
            Undo(Folder, File.ReadAllLines(At(RecordFile)));
        }
    }

    private static bool Sweep()
    {
        foreach (var folder in Directory.EnumerateDirectories(Path.GetTempPath(), Prefix + "*"))
        {
            try
            {
                var lines = File.ReadAllLines(Path.Combine(folder, RecordFile));
                if (lines.Length > 0 && lines[0].StartsWith("owner ", StringComparison.Ordinal)
                    && ProcessIdentity.Parse(lines[0]["owner ".Length..]) is { IsAlive: false })
                {
                    Undo(folder, lines);
                }
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException or InvalidOperationException)
            {
                // Another user's, just being made, or just being swept by another test process: not ours to judge.
            }
        }

        return true;
    }

    private static void Undo(string folder, string[] lines)
    {
        // Servers first: a file system whose server is gone answers everyone who waits for it.
        foreach (var process in Of(lines, Process).Select(ProcessIdentity.Parse))
        {
            process?.Kill();
        }

        foreach (var path in Of(lines, MountPoint).Reverse().Where(IsMounted))
        {
            Forgive(() => StorageProgram.Run("umount", "-l", path));
        }

        foreach (var name in Of(lines, Namespace))
        {
            Forgive(() => StorageProgram.Run("ip", "netns", "del", name));
        }

        foreach (var path in Of(lines, Leftover))
        {
            if (Directory.Exists(path))
            {
                Directory.Delete(path, recursive: true);
            }
            else
            {
                File.Delete(path);
            }
        }

        // What a lazy unmount leaves behind must not be taken for files of the folder.
        if (!Of(lines, MountPoint).Any(IsMounted))
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private static bool IsMounted(string path) => File.ReadAllText("/proc/self/mounts").Contains($" {path} ", StringComparison.Ordinal);

    private static IEnumerable<string> Of(string[] lines, string kind) =>
        lines.Where(line => line.StartsWith(kind + " ", StringComparison.Ordinal)).Select(line => line[(kind.Length + 1)..]);

    /// <summary>What was written down and never made cannot be undone, and the rest must be.</summary>
    private static void Forgive(Action undo)
    {
        try
        {
            undo();
        }
        catch (InvalidOperationException exception)
        {
            Console.Error.WriteLine(exception.Message);
        }
    }

    private void Write(string line) => File.AppendAllLines(At(RecordFile), [line]);
}
