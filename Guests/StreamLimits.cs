namespace DistMigrate.Guests;

/// <summary>What QEMU is told about a live stream.</summary>
/// <param name="Downtime">QEMU stops the guest once it expects to send the rest within this time, by the speed at which it is read.</param>
/// <param name="Throttle">How QEMU has the guest change less memory while that is faster than it is sent.</param>
/// <param name="Channels">Parallel channels for the pages (multifd), where QEMU can connect to us; 1 for a single stream.</param>
public sealed record StreamLimits(TimeSpan Downtime, StreamThrottle Throttle = StreamThrottle.None, int Channels = 1)
{
    /// <summary>The longest that QEMU takes.</summary>
    public static TimeSpan Longest { get; } = TimeSpan.FromSeconds(2000);

    /// <summary>The value of QEMU's <c>downtime-limit</c>, in ms.</summary>
    internal long DowntimeLimit => (long)Math.Clamp(Downtime.TotalMilliseconds, 1, Longest.TotalMilliseconds);
}
