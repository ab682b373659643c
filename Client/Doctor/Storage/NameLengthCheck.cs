using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether names may be as long as those of an image's side files.</summary>
internal static class NameLengthCheck
{
    /// <summary>A guest's longest name, with what an image and its side files add to it.</summary>
    internal const int Wanted = 140;

    public static Finding Look(StorageScene scene) => Judge(Libc.Space(scene.Folder).LongestName);

    internal static Finding Judge(int longest) => longest >= Wanted
        ? Finding.Ok($"Names may have {longest} bytes.")
        : Finding.Warning(
            $"Names may have {longest} bytes.", "side files are named after their image with up to 60 bytes more", $"give images there names of at most {Math.Max(1, longest - 60)} bytes");
}
