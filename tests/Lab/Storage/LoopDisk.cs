namespace DistMigrate.Tests.Lab.Storage;

/// <summary>A small ext4 in a file, which can be filled up. Disposing unmounts and deletes it.</summary>
public sealed class LoopDisk : IDisposable
{
    private const int Block = 4096;

    private readonly Belongings? _owned;
    private readonly string _filler;

    private LoopDisk(string path, Belongings? owned)
    {
        Path = path;
        _owned = owned;
        _filler = At("filler");
    }

    /// <summary>What this machine lacks for it, in one sentence; null when everything is there.</summary>
    public static string? Missing =>
        !Environment.IsPrivilegedProcess ? "Mounting a file system takes root."
        : !File.Exists("/dev/loop-control") ? "There is no /dev/loop-control: load the kernel module loop."
        : StorageProgram.Find("mkfs.ext4") is null ? "mkfs.ext4 is not installed: install e2fsprogs."
        : null;

    /// <summary>Its root.</summary>
    public string Path { get; }

    /// <summary>Makes one.</summary>
    /// <param name="mib">Its size in MiB.</param>
    /// <exception cref="InvalidOperationException">The machine cannot; the message says why.</exception>
    public static async Task<LoopDisk> MakeAsync(int mib)
    {
        if (Missing is { } missing)
        {
            throw new InvalidOperationException(missing);
        }

        var belongings = Belongings.Create();
        try
        {
            return new LoopDisk((await MakeAsync(belongings, "fs", mib)).Path, belongings);
        }
        catch
        {
            belongings.Dispose();
            throw;
        }
    }

    /// <summary>A path below <see cref="Path"/>.</summary>
    public string At(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Takes its free space.</summary>
    /// <param name="leaveMiB">How much of it stays free.</param>
    public void Fill(int leaveMiB = 0)
    {
        var drive = new DriveInfo(Path);
        var kept = (long)leaveMiB << 20;

        // Others write meanwhile, and ext4 needs some blocks for itself: less may fit than is free.
        var most = long.MaxValue;
        for (var number = 0; drive.AvailableFreeSpace - kept is var wanted and >= Block && most >= Block;)
        {
            var length = Math.Min(wanted, most);
            try
            {
                File.OpenHandle($"{_filler}.{number}", FileMode.Create, FileAccess.Write, FileShare.None, FileOptions.None, preallocationSize: length).Dispose();
                number++;
            }
            catch (IOException)
            {
                most = length / 2;
            }
        }
    }

    /// <summary>Gives back what <see cref="Fill"/> took.</summary>
    public void Free()
    {
        foreach (var file in Directory.EnumerateFiles(Path, System.IO.Path.GetFileName(_filler) + ".*"))
        {
            File.Delete(file);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _owned?.Dispose();

    internal static async Task<LoopDisk> MakeAsync(Belongings belongings, string name, int mib)
    {
        var disk = belongings.At(name + ".disk");
        using (var file = File.Create(disk))
        {
            file.SetLength((long)mib << 20);
        }

        // Without blocks that only root may use, since everybody here is root.
        await StorageProgram.RunAsync("mkfs.ext4", "-q", "-m", "0", disk);
        var path = belongings.MakeFolder(name);
        belongings.AddMount(path);
        await StorageProgram.RunAsync("mount", "-o", "loop", disk, path);
        return new LoopDisk(path, null);
    }
}
