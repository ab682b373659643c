using System.Text.Json.Nodes;

namespace DistMigrate.Guests;

/// <summary>Finds, by questions alone, why a guest could not be saved truly.</summary>
internal sealed class SavableCheck(QmpClient qmp, int pid, GuestInventory inventory)
{
    /// <summary>Refuses guests that cannot be saved.</summary>
    /// <returns>The migratable RAMBlocks, all of them readable.</returns>
    /// <exception cref="GuestException">Unsupported, Busy, Blocked, or MemoryUnreadable, each with what to do.</exception>
    public async Task<IReadOnlyList<RamBlock>> EnsureAsync(GuestRunState state, CancellationToken cancellationToken)
    {
        EnsureRunState(state);
        var progress = await MigrationProgress.QueryAsync(qmp, null, cancellationToken);
        if (!progress.IsOver)
            throw new GuestException(GuestFault.Busy, $"A migration of this guest is under way ({progress.Status}). Wait for it, or cancel it (QMP migrate_cancel).");
        EnsureNotBlocked(progress);
        EnsureDevices(await inventory.DevicesAsync(cancellationToken));
        await EnsureNotConfidentialAsync(cancellationToken);
        await EnsureNoDirtyBitmapsAsync(cancellationToken);
        var blocks = await inventory.RamBlocksAsync(cancellationToken);
        EnsureReadable(blocks);
        return blocks;
    }

    /// <summary>Refuses what QEMU says it cannot migrate; <c>xen-save-devices-state</c> does not ask this and crashes.</summary>
    /// <exception cref="GuestException">Blocked, with QEMU's words.</exception>
    public static void EnsureNotBlocked(MigrationProgress progress)
    {
        if (progress.BlockedReasons.Count > 0)
            throw new GuestException(GuestFault.Blocked,
                $"QEMU cannot migrate this guest: {string.Join("; ", progress.BlockedReasons)}. Unplug or replace what it names; the guest was not touched.");
    }

    /// <summary>Refuses run states in which there is no guest to save.</summary>
    /// <exception cref="GuestException">Unsupported, or Busy.</exception>
    public static void EnsureRunState(GuestRunState state)
    {
        switch (state.Status)
        {
            case "inmigrate":
                throw new GuestException(GuestFault.Unsupported, "The guest waits for an incoming migration: there is nothing to save yet. Load an image into it instead.");
            case "finish-migrate" or "save-vm" or "restore-vm" or "colo":
                throw new GuestException(GuestFault.Busy, $"QEMU is just saving, loading or migrating this guest ({state.Status}). Wait until that is over.");
        }
    }

    /// <summary>Refuses devices whose state is sent in iterations, which neither way of taking device state carries.</summary>
    /// <exception cref="GuestException">Unsupported.</exception>
    internal static void EnsureDevices(IReadOnlyDictionary<string, string> devices)
    {
        foreach (var (path, type) in devices)
        {
            if (type.StartsWith("vfio-", StringComparison.Ordinal) || type.StartsWith("virtio-mem", StringComparison.Ordinal))
                throw new GuestException(GuestFault.Unsupported,
                    $"The guest has a {type} device ({path}), whose state cannot be saved into an image. Unplug it, save, and plug it in again.");
        }
    }

    private async Task EnsureNotConfidentialAsync(CancellationToken cancellationToken)
    {
        string support;
        try
        {
            support = await inventory.TextPropertyAsync("/machine", "confidential-guest-support", cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.CommandFailed)
        {
            // Machines without the property have no such guests.
            return;
        }

        if (support.Length > 0)
            throw new GuestException(GuestFault.Unsupported, $"The guest's memory is encrypted ({support}), so it cannot be read from outside. Save it by its own means.");
    }

    private async Task EnsureNoDirtyBitmapsAsync(CancellationToken cancellationToken)
    {
        var nodes = await qmp.ExecuteAsync("query-named-block-nodes", new JsonObject { ["flat"] = true }, null, cancellationToken);
        foreach (var node in nodes.Items())
        {
            foreach (var bitmap in node.Items("dirty-bitmaps"))
            {
                // Nameless ones belong to block jobs and do not outlive them.
                if (bitmap.Text("name") is { Length: > 0 } name)
                    throw new GuestException(GuestFault.Unsupported,
                        $"Disk node {node.Text("node-name")} has the dirty bitmap \"{name}\" of a backup, which an image does not carry. Remove it (QMP block-dirty-bitmap-remove) and make a full backup afterwards.");
            }
        }
    }

    private void EnsureReadable(IReadOnlyList<RamBlock> blocks)
    {
        Span<byte> probe = stackalloc byte[1];
        var mappings = ProcessFiles.Mappings(pid);
        foreach (var block in blocks)
        {
            using var memory = GuestMemory.Open(pid, mappings, block);
            if (block.UsedLength > 0)
                memory.Read(0, probe);
        }
    }
}
