namespace DistMigrate.Transfer;

/// <summary>How pages are written.</summary>
public sealed record WriterOptions
{
    /// <summary>The least bandwidth limit that is taken: below it a single extent would wait for minutes.</summary>
    public const long LeastBandwidth = 64 * 1024;

    /// <summary>Writer threads of one image.</summary>
    /// <value>4 by default, measured: fewer leave the disk idle, more gain nothing.</value>
    public int Writers { get; init; } = 4;

    /// <summary>Bytes that one write covers at most; a multiple of 4096.</summary>
    /// <value>1 MiB by default; 256 KiB took twice as long on the measured disk.</value>
    public int ExtentBytes { get; init; } = 1 << 20;

    /// <summary>Bytes of pages written per second at most; 0 for no limit.</summary>
    public long BandwidthLimit { get; init; }

    /// <summary>Whether pages are written past the page cache.</summary>
    public DirectIoChoice DirectIo { get; init; }
}
