using Orleans.Concurrency;

namespace DistMigrate.Contracts;

/// <summary>
/// Carries out, on the guest's own host, what the coordinator decides about the image as a whole, by <c>host/migration</c>.
/// No other host ever opens the image for writing. Commands are idempotent and bear the coordinator's token.
/// </summary>
[Alias("distmigrate.IImageWriterGrain")]
public interface IImageWriterGrain : IGrainWithStringKey
{
    /// <summary>For a move: asks the guest what its target has to know, and writes a probe beside the image for the target to find.
    /// The guest is not touched.</summary>
    [Alias("Examine")]
    Task<HostReply> Examine(HostCommand command);

    /// <summary>Examines guest and storage, takes the locks, creates the partial image and writes its headers. The guest runs.</summary>
    [Alias("Open")]
    Task<HostReply> Open(HostCommand command);

    /// <summary>Stops the guest, after its run state and our intent are durable on this host. Reads the RAMBlock list again.</summary>
    [Alias("StopGuest")]
    Task<HostReply> StopGuest(HostCommand command);

    /// <summary>Takes the device state and closes the last fsync epoch over every page.</summary>
    [Alias("TakeDeviceState")]
    Task<HostReply> TakeDeviceState(HostCommand command);

    /// <summary>Writes bitmaps, EOS and tail, checks the image, publishes it, and does with the guest what was asked.</summary>
    [Alias("Publish")]
    Task<HostReply> Publish(HostCommand command);

    /// <summary>The end of a live save, as one operation: the guest is stopped, by QEMU at the end of its stream or by us, its last pages and
    /// device state are taken, the image is published, and the guest treated where it is to run on. Fails with
    /// <see cref="FailureReason.NotConverging"/>, and the guest runs on, when it would stand still for longer than the command's budget.</summary>
    [Alias("SwitchOver")]
    Task<HostReply> SwitchOver(HostCommand command);

    /// <summary>Changes the budget of the switch-over under way.</summary>
    [Alias("SetBudget")]
    Task<HostReply> SetBudget(HostCommand command);

    /// <summary>Changes the bandwidth limit to what the command's options say.</summary>
    [Alias("SetBandwidth")]
    Task<HostReply> SetBandwidth(HostCommand command);

    /// <summary>Interrupts an unpublished attempt: the writers stop, the guest gets its run state back, the work done is kept.</summary>
    [Alias("Suspend")]
    Task<HostReply> Suspend(HostCommand command);

    /// <summary>Whether the storage takes writes again.</summary>
    [Alias("Probe")]
    Task<HostReply> Probe(HostCommand command);

    /// <summary>Takes an interrupted attempt up again, from memory or, after a restart of the silo, from its journal.</summary>
    [Alias("Resume")]
    Task<HostReply> Resume(HostCommand command);

    /// <summary>Does once more with the guest of a published image what was asked.</summary>
    [Alias("TreatGuest")]
    Task<HostReply> TreatGuest(HostCommand command);

    /// <summary>For a move whose target does not run the guest: takes the claim and gives the guest its run state back. Fails with
    /// <see cref="FailureReason.ClaimHeld"/> when the target may run it.</summary>
    [Alias("TakeBack")]
    Task<HostReply> TakeBack(HostCommand command);

    /// <summary>For a move whose target runs the guest: ends the source's QEMU.</summary>
    [Alias("EndSource")]
    Task<HostReply> EndSource(HostCommand command);

    /// <summary>For a move that is over: removes the image with its side files. Only when the QEMU that does not run the guest is gone.</summary>
    [Alias("RemoveImage")]
    Task<HostReply> RemoveImage(HostCommand command);

    /// <summary>Ends an unpublished attempt: restores the guest's run state and removes the partial image. A published one is left alone.</summary>
    [Alias("Abort")]
    Task<HostReply> Abort(HostCommand command);

    /// <summary>The outcome is recorded: forgets the migration. Repeats change nothing.</summary>
    [Alias("Release")]
    Task Release(HostCommand command);

    /// <summary>How far it is. Always answers.</summary>
    [AlwaysInterleave, Alias("GetStatus")]
    Task<HostReply> GetStatus();
}
