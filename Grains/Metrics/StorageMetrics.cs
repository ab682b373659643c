using System.Collections.Frozen;
using System.Diagnostics.Metrics;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Grains.Metrics;

/// <summary>The metrics of this silo's calls to the storage of images.</summary>
internal sealed class StorageMetrics : IStorageObserver, IDisposable
{
    /// <summary>Name of the meter.</summary>
    public const string MeterName = "DistMigrate.Storage";

    private const string Other = "other";

    /// <summary>The error numbers that are told apart.</summary>
    private static readonly FrozenDictionary<Errno, string> Errors = new[]
    {
        Errno.EIO, Errno.ENOSPC, Errno.EDQUOT, Errno.EROFS, Errno.EACCES, Errno.EPERM, Errno.ESTALE, Errno.EBADF, Errno.ENOTCONN, Errno.ETIMEDOUT,
        Errno.EAGAIN, Errno.EFBIG, Errno.EINVAL,
    }.ToFrozenDictionary(errno => errno, errno => errno.ToString());

    private readonly Meter _meter = new(MeterName);
    private readonly Counter<long> _calls;
    private readonly Counter<long> _errors;
    private readonly Histogram<double> _durations;

    public StorageMetrics()
    {
        _calls = MetricCatalog.Writes.Count(_meter);
        _errors = MetricCatalog.WriteErrors.Count(_meter);
        _durations = MetricCatalog.WriteDuration.Record(_meter);
    }

    /// <summary>Every value of the label errno.</summary>
    public static IEnumerable<string> ErrnoNames => Errors.Values.Order(StringComparer.Ordinal).Append(Other);

    /// <summary>A series that first appears at 1 shows no increase to Prometheus, so each one begins at 0. Called once somebody listens.</summary>
    public void Begin()
    {
        foreach (var operation in Enum.GetValues<StorageOperation>())
        {
            var name = MetricNames.Of(operation);
            _calls.Add(0, new("operation", name), new("result", "ok"));
            _calls.Add(0, new("operation", name), new("result", "error"));
            foreach (var errno in ErrnoNames)
                _errors.Add(0, new("operation", name), new("errno", errno));
        }
    }

    public void Called(StorageOperation operation, TimeSpan took, Errno? errno)
    {
        var name = MetricNames.Of(operation);
        _durations.Record(took.TotalSeconds, new KeyValuePair<string, object?>("operation", name));
        _calls.Add(1, new("operation", name), new("result", errno is null ? "ok" : "error"));
        if (errno is { } failed)
            _errors.Add(1, new("operation", name), new("errno", Errors.GetValueOrDefault(failed, Other)));
    }

    public void Dispose() => _meter.Dispose();
}
