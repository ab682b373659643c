using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether the folder of the machine's locks can be used.</summary>
internal static class RuntimeFolderCheck
{
    public static Finding Look() => Look(HostFolders.Runtime);

    internal static Finding Look(string folder)
    {
        const string why = "the locks that keep two silos off one guest are made in it";
        if (Directory.Exists(folder))
        {
            var mode = File.GetUnixFileMode(folder);
            return Libc.Access(folder) is var errno && errno != Errno.None
                ? Finding.Failed($"{folder} cannot be written: {ErrnoException.Describe(errno)}.", why, $"run this as the silo's user, or give {folder} to that user")
                : (mode & (UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0
                    ? Finding.Warning($"Others may write into {folder}.", "they could remove those locks", $"chmod go-w {folder}")
                    : Finding.Ok($"{folder} can be written.");
        }

        var parent = Path.GetDirectoryName(folder)!;
        return Libc.Access(parent) is var refusal && refusal != Errno.None
            ? Finding.Failed(
                $"There is no {folder}, and it cannot be made in {parent}: {ErrnoException.Describe(refusal)}.", why, $"run this as the silo's user, or make it: install -d -m 700 -o USER {folder}")
            : Finding.Ok($"The silo makes {folder} when it starts.");
    }
}
