using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Whether a file can be created and filled, whom it belongs to, and whether others could read it.</summary>
internal static class CreateCheck
{
    private const int OthersMask = 0x3f; // 077

    public static Finding Look(StorageScene scene)
    {
        using var file = scene.Files.Create("create");
        Libc.PWriteExactly(file, new byte[Page.Size], 0);
        var (user, mode) = Libc.Ownership(file);
        file.CloseChecked();
        return Judge(user, Libc.EffectiveUser(), mode);
    }

    internal static Finding Judge(uint owner, uint user, int mode)
    {
        var found = $"A file was created with mode {Convert.ToString(mode, 8).PadLeft(4, '0')}, of user {owner}.";
        if ((mode & OthersMask) != 0)
            return Finding.Failed(
                found, "other users could read a guest's memory, and all passwords in it; images ask for mode 0600",
                "mount it so that modes are kept, or with a mask such as file_mode=0600 (cifs), umask=077 (FUSE, FAT)");
        return owner == user
            ? Finding.Ok(found)
            : Finding.Warning(
                $"{found[..^1]}, although user {user} created it.", "the server takes this user for another one, so a silo or QEMU of another user may not open the image",
                "let the server take root as it is (NFS: no_root_squash), or run all silos and QEMUs as users that it takes for the same one");
    }
}
