namespace DistMigrate.Transfer;

/// <summary>What becomes of a guest once its image is published.</summary>
public enum AfterPublication
{
    /// <summary>It stays stopped.</summary>
    Pause,

    /// <summary>It runs on, with the claim.</summary>
    Run,

    /// <summary>Its QEMU is ended.</summary>
    Quit,

    /// <summary>It stays stopped until it is known who runs it: the target of its move, or it again.</summary>
    HandOver,
}

/// <summary>One save, as its image writer needs it.</summary>
/// <param name="Migration">The migration's id.</param>
/// <param name="Host">This host's configured name.</param>
/// <param name="Guest">The guest's name.</param>
/// <param name="QmpPath">Its monitor socket.</param>
/// <param name="ImagePath">Where the image goes, resolved below a storage root.</param>
/// <param name="Overwrite">Whether a published image of that name is replaced.</param>
/// <param name="After">What becomes of the guest.</param>
/// <param name="Options">How pages are written.</param>
/// <param name="LaunchFolder">The folder of the guest's QEMU, if a silo has launched it.</param>
/// <param name="Request">What was asked, for the journal: a silo that lost its own state takes the migration up again from it.</param>
/// <param name="Live">How it learns what the guest changes, if that runs meanwhile.</param>
/// <param name="Channels">Parallel channels of QEMU's stream; 1 for a single one.</param>
/// <param name="Throttles">Whether QEMU may slow the guest's CPUs down while it changes memory faster than that is written.</param>
public sealed record SavePlan(
    string Migration, string Host, string Guest, string QmpPath, string ImagePath, bool Overwrite, AfterPublication After, WriterOptions Options,
    string LaunchFolder, string Request, LiveMode Live = LiveMode.None, int Channels = 1, bool Throttles = false);
