using System.Collections.Concurrent;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>A small file system of its own, which a test can fill, freeze or make read-only. Disposing unmounts it by its path.</summary>
internal sealed class MountedFolder : IAsyncDisposable
{
    private static readonly ConcurrentDictionary<MountedFolder, bool> Living = new();

    private readonly string _folder = Directory.CreateTempSubdirectory("dm-mount-").FullName;
    private bool _isFrozen;

    static MountedFolder() =>
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var mounted in Living.Keys)
            {
                mounted.Unfreeze();
                SystemProgram.Run("umount", "-l", mounted.Path);
                Directory.Delete(mounted._folder, recursive: true);
            }
        };

    private MountedFolder() => Directory.CreateDirectory(Path);

    /// <summary>Its root.</summary>
    public string Path => System.IO.Path.Combine(_folder, "fs");

    /// <summary>A file system in memory that holds so many MiB.</summary>
    public static MountedFolder Tmpfs(int mib) => Make(FaultNeeds.Mount, folder => Mount(folder, "-t", "tmpfs", "-o", $"size={mib}m", "distmigrate-test"));

    /// <summary>A file system in memory that does not take O_DIRECT.</summary>
    public static MountedFolder Ramfs() => Make(FaultNeeds.Mount, folder => Mount(folder, "-t", "ramfs", "distmigrate-test"));

    /// <summary>An ext4 of so many MiB in a file.</summary>
    public static MountedFolder Ext4(int mib) => Make(FaultNeeds.Loop, folder =>
    {
        var disk = System.IO.Path.Combine(folder._folder, "disk");
        using (var file = File.Create(disk))
            file.SetLength((long)mib << 20);
        SystemProgram.Run("mkfs.ext4", "-q", disk);
        Mount(folder, "-o", "loop", disk);
    });

    /// <summary>A path below <see cref="Path"/>.</summary>
    public string At(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>From now on every write to it waits, and its process cannot be killed.</summary>
    public void Freeze()
    {
        SystemProgram.Run("fsfreeze", "-f", Path);
        _isFrozen = true;
    }

    /// <summary>Lets the writes go on that wait.</summary>
    public void Unfreeze()
    {
        if (!_isFrozen)
            return;
        _isFrozen = false;
        SystemProgram.Run("fsfreeze", "-u", Path);
    }

    /// <summary>Refuses every change from now on.</summary>
    public void MakeReadOnly() => SystemProgram.Run("mount", "-o", "remount,ro", Path);

    /// <summary>Takes changes again.</summary>
    public void MakeWritable() => SystemProgram.Run("mount", "-o", "remount,rw", Path);

    /// <summary>Does what an ext4 does after an error of its disk: it refuses every change, also of files that are open for writing.</summary>
    public void Abort() => SystemProgram.Run("mount", "-o", "remount,abort", Path);

    public async ValueTask DisposeAsync()
    {
        if (!Living.TryRemove(this, out _))
            return;
        Unfreeze();
        string? fault = null;
        await Wait.UntilAsync(
            () =>
            {
                try
                {
                    SystemProgram.Run("umount", Path);
                    return true;
                }
                catch (InvalidOperationException exception)
                {
                    // A silo that is just ending may still hold a file there.
                    fault = exception.Message;
                    return false;
                }
            },
            $"{Path} is unmounted",
            TimeSpan.FromSeconds(20),
            () => fault ?? "");
        Directory.Delete(_folder, recursive: true);
    }

    private static MountedFolder Make(FaultNeeds needs, Action<MountedFolder> mount)
    {
        FaultTools.Require(needs);
        var made = new MountedFolder();
        try
        {
            mount(made);
            Living[made] = true;
            return made;
        }
        catch
        {
            Directory.Delete(made._folder, recursive: true);
            throw;
        }
    }

    private static void Mount(MountedFolder folder, params IEnumerable<string> arguments) => SystemProgram.Run("mount", [.. arguments, folder.Path]);
}
