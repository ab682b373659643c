using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Transfer;

/// <summary>The files that an attempt leaves which did not come to publish its image.</summary>
internal static class UnfinishedImage
{
    /// <summary>Removes those of a process that has ended. Work that another migration may take up again is not touched.</summary>
    /// <param name="paths">The image's files.</param>
    /// <param name="migration">The migration that asks.</param>
    /// <param name="files">The file system.</param>
    /// <param name="token">Of the coordinator that asks; null when what is decided already is carried out.</param>
    /// <exception cref="ImageException">Busy: a living process, or another migration, owns them; it is named. Fenced: a later coordinator of this one does.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    public static void Remove(ImagePaths paths, string migration, IFileSystem files, JournalToken? token = null)
    {
        if (FindOwner(paths, files) is var (owner, inForce))
        {
            ThrowUnlessIts(paths, migration, token, owner, inForce);
            Publication.Withdraw(paths, owner.Inode, files);
        }

        ImageFile.RemoveLeftover(files, paths.Partial);
        files.Remove(paths.Journal);
        RemoveSideFiles(paths, files);
    }

    private static void ThrowUnlessIts(ImagePaths paths, string migration, JournalToken? token, JournalIdentity owner, JournalToken inForce)
    {
        if (owner.Migration != migration)
        {
            throw new ImageException(ImageFault.Busy,
                $"{paths.Journal} holds the unfinished work of migration {owner.Migration} of guest {owner.Guest} on host {owner.Host}. "
                + "Resume or cancel that one, choose another image name, or remove its files with 'distmigrate gc'.");
        }

        if (token is { } late && Journal.JournalFile.IsTooLate(late, inForce))
        {
            throw new ImageException(ImageFault.Fenced,
                $"{paths.Journal} is of a coordinator with token {inForce.Number}; that of token {late.Number} came too late to begin migration {migration} anew.");
        }
    }

    /// <summary>Removes the side files of an image that is not published, and puts back what it was about to replace.</summary>
    /// <exception cref="IOException">The storage failed.</exception>
    public static void RemoveSideFiles(ImagePaths paths, IFileSystem files)
    {
        files.Remove(paths.Journal + ".new");
        foreach (var (from, _) in paths.SideFiles)
            files.Remove(from);
        DurableFile.RemoveTemporaries(paths.PartialManifest, files);
        NameChange.Recover(files, [paths.Image, .. paths.SideFiles.Select(file => file.To)]);
    }

    /// <summary>Whose unfinished work a journal holds; null when there is none that can be taken up again.</summary>
    /// <exception cref="ImageException">A living process writes it, or nobody can tell.</exception>
    private static (JournalIdentity Identity, JournalToken InForce)? FindOwner(ImagePaths paths, IFileSystem files)
    {
        var state = new Owner();
        using var journal = Journal.JournalFile.TryOpen(paths.Journal, state, files);
        return journal is null ? null : (journal.Identity, journal.Token);
    }

    private sealed class Owner : IJournalVisitor
    {
        public void Identify(JournalIdentity identity)
        {
        }

        public void Durable(int block, uint epoch, MappedRam.PageRun run, ReadOnlySpan<byte> hashes)
        {
        }

        public void Zero(int block, uint epoch, MappedRam.PageRun run)
        {
        }

        public void Invalidate(int block, MappedRam.PageRun run)
        {
        }
    }
}
