using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer;

/// <summary>
/// Proves that the memory of a QEMU that has loaded an image, and stands, is that of the image: every present page has its hash of
/// <c>IMAGE.checksums</c>, and every other page is zero.
/// </summary>
public static class LoadProof
{
    private const int Named = 5;

    /// <summary>Compares all pages of a guest, on threads of their own.</summary>
    /// <param name="imagePath">The image, for its checksums and its length.</param>
    /// <param name="image">Its structure.</param>
    /// <param name="imageId">The id of its manifest; empty when it has none, and then checksums of another save only show by their hashes.</param>
    /// <param name="guest">The guest, loaded and stopped.</param>
    /// <param name="parallelism">How many threads read and hash.</param>
    /// <param name="progress">Is told the bytes of guest memory compared so far, holes included, by any of the threads.</param>
    /// <param name="cancellationToken">Ends it early.</param>
    /// <returns>How many pages were compared, how many are wrong, and the first of those.</returns>
    /// <exception cref="ImageException">NotFound, AccessDenied or Storage: the checksums cannot be read. Malformed: they are damaged.
    /// Mismatch: they are of another image, or the guest lacks a RAMBlock of the image.</exception>
    /// <exception cref="GuestException">The guest's memory cannot be read, or its QEMU has ended.</exception>
    /// <exception cref="OperationCanceledException">It was ended early.</exception>
    public static async Task<DeepVerification> ProveAsync(
        string imagePath, MappedRamImage image, Guid imageId, QemuGuest guest, int parallelism, IProgress<long>? progress,
        CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(guest);
        var loaded = await guest.QueryRamBlocksAsync(cancellationToken);
        var proof = StorageThread.RunAsync(() =>
        {
            var memories = new List<IGuestMemory>();
            try
            {
                foreach (var block in image.Blocks)
                {
                    memories.Add(loaded.FirstOrDefault(candidate => candidate.Name == block.Layout.Name) is { } found
                        ? guest.OpenMemory(found)
                        : throw new ImageException(ImageFault.Mismatch,
                            $"The guest that loaded {imagePath} has no RAMBlock {block.Layout.Name}. Start its QEMU as the source was started."));
                }

                return Prove(imagePath, image, imageId, memories, parallelism, progress, cancellationToken);
            }
            finally
            {
                memories.ForEach(memory => memory.Dispose());
            }
        });

        // A read from storage that hangs keeps its thread, but nobody who gave up.
        return await proof.WaitAsync(cancellationToken);
    }

    /// <summary>Compares all pages of RAMBlocks whose memory is open already.</summary>
    /// <param name="memories">The memory of each RAMBlock in the image's order; it stays open.</param>
    /// <inheritdoc cref="ProveAsync"/>
#pragma warning disable CS1573 // The other parameters are those of ProveAsync.
    internal static DeepVerification Prove(
        string imagePath, MappedRamImage image, Guid imageId, IReadOnlyList<IGuestMemory> memories, int parallelism,
        IProgress<long>? progress = null, CancellationToken cancellationToken = default)
#pragma warning restore CS1573
    {
        foreach (var (block, memory) in image.Blocks.Zip(memories))
        {
            if (memory.Length != block.Layout.UsedLength)
            {
                throw new ImageException(ImageFault.Mismatch,
                    $"RAMBlock {block.Layout.Name} of the guest has {memory.Length} bytes, but {block.Layout.UsedLength} in {imagePath}. "
                    + "Start its QEMU as the source was started.");
            }
        }

        return ReadChecksums(imagePath, checksums => DeepVerifier.Verify(
            image, new FileInfo(imagePath).Length, imageId == Guid.Empty ? null : imageId, new GuestPages(memories), checksums, parallelism,
            progress, cancellationToken));
    }

    /// <summary>Reads the checksums of an image, for whoever needs them to prove what was loaded.</summary>
    /// <exception cref="ImageException">NotFound, AccessDenied or Storage: they cannot be read. Malformed or Mismatch: they are damaged, or of another image.</exception>
    internal static T ReadChecksums<T>(string imagePath, Func<IImageInput, T> read)
    {
        var checksumsPath = new ImagePaths(imagePath).Checksums;
        try
        {
            using var checksums = new FileImageInput(checksumsPath);
            return read(checksums);
        }
        catch (JournalException e)
        {
            throw new ImageException(e.Rule == JournalRule.Mismatch ? ImageFault.Mismatch : ImageFault.Malformed,
                $"{checksumsPath} proves nothing about what was loaded from {imagePath}: {e.Message} Put the image and the checksums of the same save side by side.", e);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new ImageException(ImageFault.NotFound,
                $"What was loaded from {imagePath} cannot be proven, because the file {(e as FileNotFoundException)?.FileName ?? checksumsPath} does not exist on "
                + "this host. Check the mount, and copy the checksums from where the image was saved.", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new ImageException(ImageFault.AccessDenied, $"{checksumsPath} cannot be read: {e.Message} Give the silo's user access.", e);
        }
        catch (IOException e)
        {
            throw new ImageException(ImageFault.Storage, $"{checksumsPath} cannot be read: {e.Message} Look at the storage, then try again.", e);
        }
    }

    /// <summary>What a proof that failed says to the operator, the first wrong pages named.</summary>
    public static ImageException Failure(string imagePath, DeepVerification proof)
    {
        ArgumentNullException.ThrowIfNull(proof);
        var named = proof.Violations.Take(Named).Select(violation => $"page {violation.Page} of RAMBlock {violation.Block}: {violation.Message}");
        var more = proof.Bad > Named ? $"; and {proof.Bad - Named} more" : "";
        return new ImageException(ImageFault.Mismatch,
            $"{proof.Bad} of {proof.Pages} pages that QEMU loaded from {imagePath} are not those that were saved ({string.Join("; ", named)}{more}). "
            + "The guest must not run from this memory. Check the image with 'distmigrate verify --deep', and the memory of this host.");
    }
}
