namespace DistMigrate.Bench;

/// <summary>Where a save stands while its storage has a fault.</summary>
/// <param name="Phase">QEMU's name of the phase, ours beside it, or <c>aborted</c> when QEMU has ended.</param>
/// <param name="Message">What it says about it.</param>
/// <param name="KeptBytes">Bytes of pages that need not be written again.</param>
internal sealed record SaveState(string Phase, string Message, long KeptBytes)
{
    /// <summary>Whether nothing more comes by itself.</summary>
    public bool IsOver => Phase is "completed" or "failed" or "cancelled" or "aborted" or "needs-attention";

    /// <summary>Whether it has taken notice of the fault: it is over, or it waits.</summary>
    public bool IsSettled => IsOver || Phase == "paused";
}
