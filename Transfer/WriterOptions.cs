namespace DistMigrate.Transfer;

/// <summary>How pages are written.</summary>
public sealed record WriterOptions
{
    /// <summary>Writer threads of one image unless told otherwise. Measured: while some read and hash, the others keep the disk busy;
    /// 4 took a tenth longer on two cores, 12 gain nothing more.</summary>
    public const int DefaultWriters = 8;

    /// <summary>Writer threads of one image.</summary>
    public int Writers { get; init; } = DefaultWriters;

    /// <summary>How long a fault of the storage may keep the guest stopped while calls are tried again.</summary>
    public TimeSpan MaxDowntime { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>How long calls to the storage may not return while the guest is not kept stopped by them.</summary>
    public TimeSpan StallTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Bytes written after which an fsync epoch closes: what a failed fsync can cost.</summary>
    public long EpochBytes { get; init; } = 1L << 30;

    /// <summary>Time after which an fsync epoch closes: what the end of the silo can cost.</summary>
    public TimeSpan EpochTime { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Bytes that one write covers at most; a multiple of 4096.</summary>
    /// <value>1 MiB by default; 256 KiB took twice as long on the measured disk.</value>
    public int ExtentBytes { get; init; } = 1 << 20;

    /// <summary>Bytes of pages written per second at most; 0 for no limit.</summary>
    public long BandwidthLimit { get; init; }

    /// <summary>Whether pages are written past the page cache.</summary>
    public DirectIoChoice DirectIo { get; init; }
}
