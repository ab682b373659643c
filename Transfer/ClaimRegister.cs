using System.Globalization;
using System.Text.Json;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>
/// The numbered claims beside an image. The file system decides who takes a number, for all hosts that share it; the next number
/// may be taken only when the holder's release stands there, and that is written only after the holder's QEMU is gone.
/// </summary>
/// <param name="imagePath">The published image.</param>
/// <param name="host">This host's configured name.</param>
/// <param name="time">The clock.</param>
internal sealed class ClaimRegister(string imagePath, string host, TimeProvider time)
{
    private readonly ImagePaths _paths = new(imagePath);

    /// <summary>Takes the next number.</summary>
    /// <param name="imageId">The image's id; claims of an older image of the same name do not count.</param>
    /// <param name="guest">The guest's name.</param>
    /// <param name="migration">The migration that asks.</param>
    /// <param name="holder">The QEMU that is to run the guest.</param>
    /// <param name="ignoreHolder">Take it although another holds it.</param>
    /// <exception cref="ImageException">Another holds it, or the storage failed.</exception>
    public Claim Take(Guid imageId, string guest, string migration, ProcessIdentity holder, bool ignoreHolder)
    {
        try
        {
            while (true)
            {
                var last = LastNumber();
                if (last > 0 && !ignoreHolder)
                    EnsureReleased(last, imageId);
                var claim = new Claim(last + 1, imageId, guest, migration, holder, Guid.NewGuid(), time.GetUtcNow());
                if (TryWrite(claim))
                    return claim;

                // Somebody was faster: judge his claim.
            }
        }
        catch (ErrnoException e)
        {
            throw ImageException.From(e);
        }
    }

    private bool TryWrite(Claim claim)
    {
        var path = _paths.Claim(claim.Number);
        try
        {
            return DurableFile.TryCreate(path, JsonSerializer.SerializeToUtf8Bytes(claim, TransferJson.Default.Claim));
        }
        catch (ErrnoException) when (SideFile.Read(path, TransferJson.Default.Claim)?.Token == claim.Token)
        {
            // The name was taken by us before the error; only its durability is in doubt.
            Libc.FSyncFolder(Path.GetDirectoryName(path)!);
            return true;
        }
    }

    private void EnsureReleased(int number, Guid imageId)
    {
        if (File.Exists(_paths.Release(number)))
            return;
        var claim = SideFile.Read(_paths.Claim(number), TransferJson.Default.Claim);
        if (claim is null || claim.ImageId != imageId)
            return;
        if (claim.Holder.Host == host && !claim.Holder.IsAlive())
        {
            var release = new ClaimRelease(number, time.GetUtcNow(), $"QEMU process {claim.Holder.Pid} on {host} has ended.");
            DurableFile.TryCreate(_paths.Release(number), JsonSerializer.SerializeToUtf8Bytes(release, TransferJson.Default.ClaimRelease));
            return;
        }

        throw new ImageException(ImageFault.ClaimHeld,
            $"Guest {claim.Guest} may already run from this image: QEMU process {claim.Holder.Pid} on host {claim.Holder.Host} holds claim "
            + $"{number} since {claim.Taken:u} (migration {claim.Migration}). End that QEMU first, or use --ignore-claim if both may run on disks of their own.");
    }

    private int LastNumber()
    {
        var prefix = Path.GetFileName(_paths.Image) + ".claim.";
        return Directory.EnumerateFiles(Path.GetDirectoryName(_paths.Image)!, prefix + "*")
            .Select(path => Path.GetFileName(path)[prefix.Length..])
            .Select(number => int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : 0)
            .DefaultIfEmpty(0).Max();
    }
}
