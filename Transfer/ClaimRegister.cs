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

    /// <summary>Takes the next number; the same migration with the same holder again gets the claim that it took before.</summary>
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
                if (last > 0 && !ignoreHolder && SideFile.Read(_paths.Claim(last), TransferJson.Default.Claim) is { } held
                    && held.Migration == migration && held.Holder == holder && held.ImageId == imageId)
                {
                    return held;
                }

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
            if (DurableFile.TryCreate(path, JsonSerializer.SerializeToUtf8Bytes(claim, TransferJson.Default.Claim)))
                return true;
        }
        catch (ErrnoException) when (IsOurs())
        {
        }

        if (!IsOurs())
            return false;

        // The name was taken by us all the same: before the error, or by a call that network storage repeated. Only its
        // durability is in doubt.
        Libc.FSyncFolder(Path.GetDirectoryName(path)!);
        return true;

        bool IsOurs() => SideFile.Read(path, TransferJson.Default.Claim)?.Token == claim.Token;
    }

    private void EnsureReleased(int number, Guid imageId)
    {
        if (File.Exists(_paths.Release(number)))
            return;
        var claim = SideFile.Read(_paths.Claim(number), TransferJson.Default.Claim);
        if (claim is null || IsOfAnother(claim.ImageId, imageId))
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

    /// <summary>Whether two ids are surely of different images; without a manifest nobody knows, and then the claim counts.</summary>
    private static bool IsOfAnother(Guid one, Guid other) => one != other && one != Guid.Empty && other != Guid.Empty;

    private int LastNumber()
    {
        var prefix = Path.GetFileName(_paths.Image) + ".claim.";
        return Directory.EnumerateFiles(Path.GetDirectoryName(_paths.Image)!)
            .Select(path => Path.GetFileName(path))
            .Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
            .Select(name => name[prefix.Length..])
            .Select(number => int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : 0)
            .DefaultIfEmpty(0).Max();
    }
}
