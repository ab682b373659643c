using System.Collections.Concurrent;
using System.Globalization;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>A small file system of its own, which a test can fill, freeze or make read-only. Disposing unmounts it by its path.</summary>
internal sealed class MountedFolder : IAsyncDisposable
{
    private static readonly ConcurrentDictionary<MountedFolder, bool> Living = new();

    private const int PageSize = 4096;

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

    private string Disk => System.IO.Path.Combine(_folder, "disk");

    /// <summary>A file system in memory that holds so many MiB.</summary>
    public static MountedFolder Tmpfs(int mib) => Make(FaultNeeds.Mount, folder => Mount(folder, "-t", "tmpfs", "-o", $"size={mib}m", "distmigrate-test"));

    /// <summary>A file system in memory that does not take O_DIRECT.</summary>
    public static MountedFolder Ramfs() => Make(FaultNeeds.Mount, folder => Mount(folder, "-t", "ramfs", "distmigrate-test"));

    /// <summary>An ext4 of so many MiB in a file.</summary>
    public static MountedFolder Ext4(int mib) => Loop(FaultNeeds.Loop, "mkfs.ext4", mib);

    /// <summary>An xfs of so many MiB in a file; mkfs.xfs takes no less than 300.</summary>
    public static MountedFolder Xfs(int mib) => Loop(FaultNeeds.Xfs, "mkfs.xfs", mib);

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

    /// <summary>Fills it with a file, but for so many bytes; for 0, also what is kept for root.</summary>
    /// <returns>The file's path.</returns>
    public string Fill(long leave)
    {
        var path = At("filler");
        using var file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0);
        var disk = new DriveInfo(Path);
        for (var piece = new byte[1 << 20]; piece.Length >= PageSize;)
        {
            try
            {
                while (leave == 0 || disk.AvailableFreeSpace > leave + piece.Length)
                    file.Write(piece);
                file.Flush();
            }
            catch (IOException)
            {
                // Less may still fit.
            }

            piece = new byte[piece.Length / 2];
        }

        return path;
    }

    /// <summary>Lets a memory file system hold so many MiB from now on.</summary>
    public void Resize(int mib) => SystemProgram.Run("mount", "-o", string.Create(CultureInfo.InvariantCulture, $"remount,size={mib}m"), Path);

    /// <summary>Unmounts a file system of a loop device, which nobody may use, and mounts it again.</summary>
    public async Task MountAgainAsync()
    {
        await UnmountAsync();
        Mount(this, "-o", "loop", Disk);
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
        await UnmountAsync();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task UnmountAsync()
    {
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
    }

    private static MountedFolder Loop(FaultNeeds needs, string make, int mib) => Make(needs, folder =>
    {
        using (var file = File.Create(folder.Disk))
            file.SetLength((long)mib << 20);
        SystemProgram.Run(make, "-q", folder.Disk);
        Mount(folder, "-o", "loop", folder.Disk);
    });

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
