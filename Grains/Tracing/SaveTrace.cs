using System.Diagnostics;
using DistMigrate.Contracts;
using DistMigrate.Grains.Metrics;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Grains.Tracing;

/// <summary>The span of a save on its host, in which fsyncs and faults of the storage are events. Tells another observer of every call as well.</summary>
internal sealed class SaveTrace(MigrationSpec spec, IStorageObserver observer) : IStorageObserver, IDisposable
{
    private readonly Lock _gate = new();
    private Activity? _span;
    private bool _isDisposed;

    /// <summary>Begins it with the first call that bears a place in the trace.</summary>
    public void Begin()
    {
        if (_span is not null || Traces.Parent is not { } parent)
            return;
        lock (_gate)
        {
            if (_span is not null || _isDisposed)
                return;
            _span = Traces.Start("image", parent);
            _span?.SetTag("distmigrate.migration", spec.Id);
            _span?.SetTag("distmigrate.guest", spec.Request.Guest);
            _span?.SetTag("distmigrate.host", spec.Host);
            _span?.SetTag("distmigrate.image", spec.Request.ImagePath);
        }
    }

    public void Called(StorageOperation operation, TimeSpan took, Errno? errno)
    {
        observer.Called(operation, took, errno);
        if (_span is { } span && (operation == StorageOperation.FSync || errno is not null))
        {
            span.AddEvent(new ActivityEvent(errno is null ? "fsync" : "storage error", tags: new ActivityTagsCollection
            {
                ["operation"] = MetricNames.Of(operation),
                ["seconds"] = took.TotalSeconds,
                ["errno"] = errno?.ToString() ?? "",
            }));
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isDisposed = true;
            _span?.Stop();
        }
    }
}
