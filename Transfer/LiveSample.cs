namespace DistMigrate.Transfer;

/// <summary>How a live save by stream goes on.</summary>
/// <param name="Iteration">QEMU's pass over the guest's memory, from 1.</param>
/// <param name="DirtyBytesPerSecond">How fast the guest changes its memory.</param>
/// <param name="WriteBytesPerSecond">How fast pages are written.</param>
/// <param name="Remaining">Bytes that QEMU has not sent yet, and those that wait to be written.</param>
/// <param name="ExpectedDowntime">How long those take.</param>
/// <param name="ThrottlePercent">How much of the guest's CPU time QEMU takes away; 0 when none.</param>
public sealed record LiveSample(
    int Iteration, double DirtyBytesPerSecond, double WriteBytesPerSecond, long Remaining, TimeSpan ExpectedDowntime, int ThrottlePercent = 0);
