using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>
/// A save of a running guest as it is at one moment. QEMU sends memory and devices of that moment while the guest goes on; they are written
/// and published. The guest stands still for QEMU's own work only, whatever the storage does.
/// </summary>
/// <param name="image">The image.</param>
/// <param name="guest">The guest.</param>
/// <param name="plan">What is saved and how.</param>
/// <param name="time">The clock.</param>
internal sealed class SnapshotSave(ImageAttempt image, SourceGuest guest, SavePlan plan, TimeProvider time)
{
    private readonly DowntimeParts _parts = new(time);

    /// <summary>What the guest has stood still for.</summary>
    public IReadOnlyList<(string Name, TimeSpan Time)> Parts => _parts.All;

    /// <summary>Does it once.</summary>
    /// <param name="gate">Held while QEMU is asked.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="GuestException">QEMU cannot take a snapshot of this guest, or failed; the guest runs.</exception>
    /// <exception cref="ImageException">The storage failed.</exception>
    public async Task RunAsync(SemaphoreSlim gate, CancellationToken cancellationToken)
    {
        var session = image.Session ?? throw new InvalidOperationException("The image is not open; the coordinator's commands came out of order.");
        var feed = new SnapshotFeed(session, image.Engines);
        DeviceSections devices;
        await gate.WaitAsync(cancellationToken);
        try
        {
            devices = await guest.SnapshotAsync(feed, session.Image.Identity, _parts.Begin, () => _parts.End("snapshot"), cancellationToken);
        }
        finally
        {
            gate.Release();
        }

        feed.EnsureWhole();
        foreach (var engine in image.Engines)
            engine.EndFeed();
        await new FinalEpoch(session, image.Engines, plan.Options.MaxDowntime, time).CloseAsync(cancellationToken);
        await StorageThread.RunAsync(() =>
        {
            image.HandOverAll(cancellationToken);
            guest.Publish(image, devices, published: null, cancellationToken);
        }).WaitAsync(cancellationToken);
    }
}
