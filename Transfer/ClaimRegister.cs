using System.Globalization;
using System.Text.Json;

namespace DistMigrate.Transfer;

/// <summary>
/// The numbered claims beside an image. The file system decides who takes a number, for all hosts that share it; the next number
/// may be taken only when the holder's release stands there, and that is written only after the holder's QEMU is gone. A claim whose
/// file is damaged counts as held.
/// </summary>
/// <param name="imagePath">The published image.</param>
/// <param name="host">This host's configured name.</param>
/// <param name="time">The clock.</param>
/// <param name="files">The file system; this machine's by default.</param>
internal sealed class ClaimRegister(string imagePath, string host, TimeProvider time, IFileSystem? files = null)
{
    private const string ReleaseEnding = ".released";

    private readonly ImagePaths _paths = new(imagePath);
    private readonly IFileSystem _files = files ?? HostFileSystem.Instance;

    /// <summary>Takes the next number; the same migration with the same holder again gets the claim that it took before.</summary>
    /// <param name="imageId">The image's id; claims of an older image of the same name do not count.</param>
    /// <param name="guest">The guest's name.</param>
    /// <param name="migration">The migration that asks.</param>
    /// <param name="holder">The QEMU that is to run the guest.</param>
    /// <param name="ignoreHolder">Take it although another holds it.</param>
    /// <exception cref="ImageException">Another holds it, its file is damaged, or the storage failed.</exception>
    public Claim Take(Guid imageId, string guest, string migration, ProcessIdentity holder, bool ignoreHolder) => StorageCalls.Translated(_paths.Image, () =>
    {
        while (true)
        {
            var last = Numbers().LastOrDefault();
            if (last > 0 && !IsReleased(last) && Held(last) is { } held && !IsOfAnother(held.ImageId, imageId))
            {
                if (held.Migration == migration && held.Holder == holder && held.ImageId == imageId)
                {
                    WriteAgain(held);
                    return held;
                }

                if (!ignoreHolder)
                    EnsureEnded(held);
            }

            var claim = new Claim(last + 1, imageId, guest, migration, holder, Guid.NewGuid(), time.GetUtcNow()).Sealed();
            if (TryWrite(claim))
                return claim;

            // Somebody was faster: judge his claim.
        }

        Claim? Held(int number)
        {
            try
            {
                return Read(number);
            }
            catch (ImageException e) when (ignoreHolder && e.Fault == ImageFault.Malformed)
            {
                return null;
            }
        }
    });

    /// <summary>The claim in force: the one with the highest number, unless it is released. An earlier one that was passed over by force counts no more.</summary>
    /// <param name="imageId">The image's id; a claim of an older image of the same name is none. Empty: any counts.</param>
    /// <returns>Null when none is in force, so that the next may be taken.</returns>
    /// <exception cref="ImageException">Malformed: its file is damaged, so somebody holds it, and only the operator can tell who. Or the storage failed.</exception>
    public Claim? Current(Guid imageId = default) => StorageCalls.Translated(_paths.Image, () =>
        Numbers().LastOrDefault() is var last and > 0 && !IsReleased(last) && Read(last) is { } held && !IsOfAnother(held.ImageId, imageId) ? held : null);

    /// <summary>All claims in the order of their numbers, damaged and released ones included.</summary>
    /// <exception cref="ImageException">The storage failed.</exception>
    public IReadOnlyList<ClaimStanding> List() => StorageCalls.Translated(_paths.Image, () => Numbers().Select(Standing).ToList());

    /// <summary>
    /// Gives a claim up, durably. Only after the holder's QEMU is gone without a <c>cont</c> from us, or is known never to run the guest
    /// again. Once more does nothing, nor does it when claim and image have been removed.
    /// </summary>
    /// <param name="claim">The claim as it was taken.</param>
    /// <param name="why">In a few words.</param>
    /// <exception cref="ImageException">ClaimHeld: that number is another's. Malformed: its file is damaged. Or the storage failed.</exception>
    public void Release(Claim claim, string why) => StorageCalls.Translated(_paths.Image, () =>
    {
        if (Read(claim.Number) is not { } standing)
            return;
        if (standing.Token != claim.Token)
        {
            throw new ImageException(ImageFault.ClaimHeld,
                $"Claim {claim.Number} of {_paths.Image} cannot be released for migration {claim.Migration}, because it is another's: {Holder(standing)}. "
                + "It was left as it is.");
        }

        WriteRelease(claim.Number, why);
    });

    /// <summary>Whether a claim with a higher number stands there, so that this one gives no right any more.</summary>
    /// <exception cref="ImageException">The storage failed.</exception>
    public bool IsSuperseded(Claim claim) => StorageCalls.Translated(_paths.Image, () => Numbers().LastOrDefault() > claim.Number);

    private bool TryWrite(Claim claim)
    {
        try
        {
            if (DurableFile.TryCreate(_paths.Claim(claim.Number), Bytes(claim), _files))
                return true;
        }
        catch (IOException) when (IsOurs())
        {
        }

        if (!IsOurs())
            return false;

        // The name was taken by us all the same: before the error, or by a call that network storage repeated.
        WriteAgain(claim);
        return true;

        bool IsOurs() => Read(claim.Number)?.Token == claim.Token;
    }

    /// <summary>
    /// Makes a claim of ours durable of which that is in doubt, since the call that took it failed. After a failed fsync another one
    /// of the same file would tell nothing, so the same content takes the name again in a new file.
    /// </summary>
    private void WriteAgain(Claim claim) => DurableFile.Write(_paths.Claim(claim.Number), Bytes(claim), _files);

    private static byte[] Bytes(Claim claim) => JsonSerializer.SerializeToUtf8Bytes(claim, TransferJson.Default.Claim);

    private void WriteRelease(int number, string why)
    {
        var release = new ClaimRelease(number, time.GetUtcNow(), why);
        try
        {
            if (DurableFile.TryCreate(_paths.Release(number), JsonSerializer.SerializeToUtf8Bytes(release, TransferJson.Default.ClaimRelease), _files))
                return;
        }
        catch (IOException) when (IsReleased(number))
        {
        }

        // Whoever wrote it may have failed before it was durable.
        _files.FSyncFolder(_paths.Folder);
    }

    /// <summary>Releases a claim whose holder was a QEMU of this host that has ended.</summary>
    private void EnsureEnded(Claim claim)
    {
        if (claim.Holder.Host == host && !claim.Holder.IsAlive())
        {
            WriteRelease(claim.Number, $"QEMU process {claim.Holder.Pid} on {host} has ended.");
            return;
        }

        throw new ImageException(ImageFault.ClaimHeld,
            $"Guest {claim.Guest} may already run from this image: {Holder(claim)}. End that QEMU first, or use --ignore-claim if both may run on "
            + "disks of their own.");
    }

    private static string Holder(Claim claim) =>
        $"QEMU process {claim.Holder.Pid} on host {claim.Holder.Host} holds claim {claim.Number} since {claim.Taken:u} (migration {claim.Migration})";

    /// <summary>Whether two ids are surely of different images; without a manifest nobody knows, and then the claim counts.</summary>
    private static bool IsOfAnother(Guid one, Guid other) => one != other && one != Guid.Empty && other != Guid.Empty;

    /// <summary>It is written only after the holder was gone, so it counts whatever a crash left of it.</summary>
    private bool IsReleased(int number) => _files.Find(_paths.Release(number)) is not null;

    /// <summary>A claim as it stands there, or null when there is none of that number.</summary>
    private Claim? Read(int number)
    {
        var path = _paths.Claim(number);
        Claim? claim;
        try
        {
            claim = SideFile.Read(path, TransferJson.Default.Claim, _files);
        }
        catch (ImageException e) when (e.Fault == ImageFault.Malformed)
        {
            throw Damaged(e);
        }

        return claim is null || (claim.Number == number && claim.IsIntact()) ? claim : throw Damaged();

        ImageException Damaged(Exception? cause = null) => new(ImageFault.Malformed,
            $"The claim {path} is damaged, so nobody can tell who may run the guest: it counts as held. Make sure that no QEMU runs the guest from "
            + $"{_paths.Image} on any host, then remove that file; or use --ignore-claim.", cause);
    }

    private ClaimStanding Standing(int number)
    {
        Claim? claim = null;
        ClaimRelease? release = null;
        string? damage = null;
        try
        {
            claim = Read(number);
        }
        catch (ImageException e) when (e.Fault == ImageFault.Malformed)
        {
            damage = e.Message;
        }

        var isReleased = IsReleased(number);
        try
        {
            release = SideFile.Read(_paths.Release(number), TransferJson.Default.ClaimRelease, _files);
        }
        catch (ImageException e) when (e.Fault == ImageFault.Malformed)
        {
            damage ??= e.Message;
        }

        return new ClaimStanding(number, claim, isReleased, release, damage);
    }

    /// <summary>The numbers that claims or releases have, ascending. A release whose claim is gone uses its number up: it would release the next one.</summary>
    private IEnumerable<int> Numbers() => ClaimNumbers(_paths, _files);

    /// <summary>The numbers that claims or releases of an image have, ascending.</summary>
    /// <exception cref="IOException">The folder cannot be read.</exception>
    public static IEnumerable<int> ClaimNumbers(ImagePaths paths, IFileSystem files)
    {
        var prefix = Path.GetFileName(paths.Image) + ".claim.";
        return files.List(paths.Folder)
            .Select(path => Path.GetFileName(path))
            .Where(name => name.StartsWith(prefix, StringComparison.Ordinal))
            .Select(name => name[prefix.Length..])
            .Select(ending => ending.EndsWith(ReleaseEnding, StringComparison.Ordinal) ? ending[..^ReleaseEnding.Length] : ending)
            .Select(number => int.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out var n) ? n : 0)
            .Where(number => number is > 0 and < int.MaxValue)
            .Distinct()
            .Order();
    }
}
