using DistMigrate.Guests;

namespace DistMigrate.Transfer;

/// <summary>Our intent to stop a guest and the run state to restore, durable on the host's local disk before the guest is stopped.</summary>
/// <param name="Migration">The migration.</param>
/// <param name="Guest">The guest's name.</param>
/// <param name="QmpPath">Its monitor socket.</param>
/// <param name="Process">Its QEMU process; a later one on the same socket is none of our business.</param>
/// <param name="WasRunning">Whether it ran before.</param>
/// <param name="ImagePath">The image's final path.</param>
/// <param name="Device">Device number of the partial image.</param>
/// <param name="Inode">Inode of the partial image; when the final name leads to it, the image is published.</param>
/// <param name="IsPublishing">Whether the image may have got its final name: before that, nobody needs to ask the storage, which may hang.</param>
/// <param name="Settings">QEMU's migration settings before we changed them; null in records that know none.</param>
/// <param name="IsPublished">Whether the image is known to have got it: whatever becomes of the image then, the guest runs only with the claim.</param>
public sealed record StopRecord(
    string Migration, string Guest, string QmpPath, ProcessIdentity Process, bool WasRunning, string ImagePath, ulong Device, ulong Inode,
    bool IsPublishing, MigrationSettingsSnapshot? Settings = null, bool IsPublished = false);
