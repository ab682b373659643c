using System.Diagnostics;

namespace DistMigrate.Grains.Tracing;

/// <summary>
/// The traces of migrations: one each, in which the coordinator's phases, the steps of the hosts, fsync epochs and faults are told. The place
/// in the trace goes with the coordinator's calls. Costs nothing while nobody listens.
/// </summary>
internal static class Traces
{
    /// <summary>Name of the source.</summary>
    public const string SourceName = "DistMigrate";

    private const string ParentKey = "distmigrate.trace";

    private static readonly ActivitySource Source = new(SourceName);

    /// <summary>The place in the trace that came with the call that is being answered; null when none did.</summary>
    public static string? Parent => RequestContext.Get(ParentKey) as string;

    /// <summary>Sends a place in the trace with the calls of this turn.</summary>
    public static void Send(Activity? place)
    {
        if (place?.Id is { } id)
            RequestContext.Set(ParentKey, id);
        else
            RequestContext.Remove(ParentKey);
    }

    /// <summary>Begins a span below a place in a trace, or a trace of its own.</summary>
    /// <param name="name">One of few.</param>
    /// <param name="parent">The place, as W3C's traceparent has it; null or empty for a trace of its own.</param>
    /// <returns>Null when nobody listens. It is not the current one of anything: whoever began it ends it.</returns>
    public static Activity? Start(string name, string? parent)
    {
        if (!Source.HasListeners())
            return null;
        var current = Activity.Current;
        Activity.Current = null;
        try
        {
            return ActivityContext.TryParse(parent, traceState: null, isRemote: true, out var context)
                ? Source.StartActivity(name, ActivityKind.Internal, context)
                : Source.StartActivity(name, ActivityKind.Internal);
        }
        finally
        {
            Activity.Current = current;
        }
    }
}
