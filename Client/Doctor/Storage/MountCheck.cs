namespace DistMigrate.Client.Doctor.Storage;

/// <summary>What kind of file system it is, and how it is mounted.</summary>
internal static class MountCheck
{
    public static Finding Look(StorageScene scene) => scene.Mount is { } mount
        ? MountAdvice.Judge(mount)
        : Finding.NotTried("It is in no mounted file system that this process sees.");
}
