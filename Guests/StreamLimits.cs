namespace DistMigrate.Guests;

/// <summary>What QEMU is told about a live stream.</summary>
/// <param name="Downtime">QEMU stops the guest once it expects to send the rest within this time, by the speed at which it is read.</param>
public sealed record StreamLimits(TimeSpan Downtime)
{
    /// <summary>The longest that QEMU takes.</summary>
    public static TimeSpan Longest { get; } = TimeSpan.FromSeconds(2000);

    /// <summary>The value of QEMU's <c>downtime-limit</c>, in ms.</summary>
    internal long DowntimeLimit => (long)Math.Clamp(Downtime.TotalMilliseconds, 1, Longest.TotalMilliseconds);
}
