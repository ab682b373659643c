using System.Text.Json;
using DistMigrate.Contracts;
using DistMigrate.Transfer;

namespace DistMigrate.Grains.Metrics;

/// <summary>Values of labels, all of closed lists.</summary>
internal static class MetricNames
{
    private static readonly Dictionary<FailureReason, string> Reasons =
        Enum.GetValues<FailureReason>().ToDictionary(reason => reason, reason => JsonNamingPolicy.KebabCaseLower.ConvertName(reason.ToString()));

    public static string Of(MigrationKind kind) => kind switch
    {
        MigrationKind.Restore => "restore",
        MigrationKind.Move => "move",
        _ => "save",
    };

    /// <summary>The kinds of migrations that are counted and shown: a plan is none that anybody would be woken for.</summary>
    public static IReadOnlyList<MigrationKind> Kinds { get; } = [.. Enum.GetValues<MigrationKind>().Except([MigrationKind.Plan])];

    public static string Of(FailureReason reason) => Reasons[reason];

    public static string ModeOf(MigrationRequest request) => request.Kind == MigrationKind.Restore
        ? request.Restore is { Lazy: true } ? "lazy" : "full"
        : request.Save?.Mode switch
        {
            SaveMode.Stream => "stream",
            SaveMode.Compare => "compare",
            SaveMode.Snapshot => "snapshot",
            _ => "stopped",
        };

    public static string ResultOf(MigrationPhase phase) => phase.IsEnd() ? phase.ToName() : "none";

    public static string Of(ConvergencePolicy policy) => policy switch
    {
        ConvergencePolicy.MinimalDowntime => "minimal-downtime",
        ConvergencePolicy.MustFinish => "must-finish",
        _ => "balanced",
    };

    public static string Of(StorageOperation operation) => operation switch
    {
        StorageOperation.Write => "pwrite",
        StorageOperation.FSync => "fsync",
        StorageOperation.Allocate => "fallocate",
        StorageOperation.Truncate => "ftruncate",
        _ => "journal",
    };

    public static string Of(ResumeTrigger trigger) => trigger switch
    {
        ResumeTrigger.Operator => "operator",
        ResumeTrigger.SiloRestart => "silo_restart",
        ResumeTrigger.Takeover => "takeover",
        _ => "automatic",
    };

    /// <summary>Labels, and every value that they can have, for the documentation.</summary>
    public static IReadOnlyList<(string Label, IReadOnlyList<string> Values)> Lists { get; } =
    [
        ("`state` of images", ["active", "complete", "orphan"]),
        ("`kind` of migrations", [.. Kinds.Select(Of)]),
        ("`mode`", ["stopped", "stream", "compare", "snapshot", "full", "lazy"]),
        ("`policy`", ["none", .. Enum.GetValues<ConvergencePolicy>().Select(Of)]),
        ("`phase`", [.. Enum.GetValues<MigrationPhase>().Select(phase => phase.ToName())]),
        ("`result` of migrations", ["none", "completed", "failed", "cancelled"]),
        ("`reason`", [.. Enum.GetValues<FailureReason>().Select(Of)]),
        ("`trigger`", [.. Enum.GetValues<ResumeTrigger>().Select(Of)]),
        ("`result` of resumes", ["resumed", "failed"]),
        ("`operation`", [.. Enum.GetValues<StorageOperation>().Select(Of)]),
        ("`result` of calls", ["ok", "error"]),
        ("`errno`", [.. StorageMetrics.ErrnoNames]),
        ("`direction`", ["outgoing", "incoming"]),
    ];
}
