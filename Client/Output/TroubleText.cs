using System.Globalization;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Output;

/// <summary>Says what is wrong with a migration's storage, what is tried next, and what to do.</summary>
internal static class TroubleText
{
    /// <summary>For a line of progress; null when nothing is wrong.</summary>
    public static string? Short(MigrationStatus status, TimeProvider time)
    {
        if (status.Trouble is not { } trouble || status.Phase.IsEnd())
            return null;
        var next = trouble.NextTry is { } moment
            ? $", tried again at {Clock(moment, time)}{SoFar(trouble.Attempts)}"
            : status.Phase == MigrationPhase.Paused ? $", goes on after 'distmigrate resume {status.Spec.Id}'" : SoFar(trouble.Attempts);
        return Words(trouble.Reason) + next + Stuck(trouble.StuckWrites);
    }

    /// <summary>For the status of one migration; empty when it neither is in trouble nor waits.</summary>
    public static IReadOnlyList<(string Name, string? Value)> Of(MigrationStatus status, TimeProvider time)
    {
        var waits = status.Phase is MigrationPhase.Paused or MigrationPhase.NeedsAttention;
        if (status.Phase.IsEnd() || (status.Trouble is null && !waits))
            return [];
        var trouble = status.Trouble;
        return
        [
            ("trouble", trouble is null ? null : Words(trouble.Reason)),
            ("last failure", trouble is null || trouble.Error == status.Message ? null : trouble.Error),
            ("trouble since", trouble is null
                ? null
                : $"{MigrationOutput.LocalTime(trouble.Since, time)} ({DurationText.Format(Positive(time.GetUtcNow() - trouble.Since))})"),
            ("tried again", trouble is null or { Reason: FailureReason.PausedByOperator } ? null : trouble.Attempts switch { 0 => "not yet", 1 => "once", var n => $"{Printable.Count(n)} times" }),
            ("next try", NextTry(status, time)),
            ("stuck writes", trouble is { StuckWrites: > 0 } ? $"{Printable.Count(trouble.StuckWrites)} that do not return from the kernel; nothing is published before they do" : null),
            ("what to do", WhatToDo(status)),
        ];
    }

    private static string NextTry(MigrationStatus status, TimeProvider time)
    {
        if (status.Trouble?.NextTry is not { } moment)
            return "none by itself";
        var left = Positive(moment - time.GetUtcNow());
        var what = status.Phase == MigrationPhase.Paused
            ? "the storage is probed, and the migration goes on when it takes writes"
            : "the call that failed is repeated";
        return $"{MigrationOutput.LocalTime(moment, time)} ({(left > TimeSpan.Zero ? $"in {DurationText.Format(left)}" : "now")}): {what}";
    }

    private static string WhatToDo(MigrationStatus status)
    {
        var id = status.Spec.Id;
        if (status is { Phase: MigrationPhase.NeedsAttention, Spec.Request.Move: { } move })
        {
            return $"look at {move.Target}; 'distmigrate adopt {id} --on {move.Target}' if the guest runs there, else, once its QEMU there has surely ended, "
                + $"'distmigrate adopt {id} --on {status.Spec.Host}'";
        }

        if (status.Phase == MigrationPhase.NeedsAttention)
            return $"'distmigrate resume {id}' tries again to treat the guest as asked, 'distmigrate cancel {id}' leaves it as it is";
        var remedy = status.Trouble?.Reason switch
        {
            FailureReason.NoSpace => "free space or raise the quota there; ",
            FailureReason.ReadOnlyStorage => "make the storage writable again; ",
            FailureReason.StorageAccessDenied => "give the silo's user access again; ",
            FailureReason.StorageStalled or FailureReason.StorageError => "look at the storage and the host's kernel log; ",
            _ => "",
        };
        return status.Phase == MigrationPhase.Paused
            ? $"{remedy}'distmigrate resume {id}' goes on at once, 'distmigrate cancel {id}' gives the work up"
            : $"{remedy}'distmigrate pause {id}' lets it wait, 'distmigrate cancel {id}' gives it up";
    }

    private static string Words(FailureReason reason) => reason switch
    {
        FailureReason.NoSpace => "no space",
        FailureReason.StorageError => "storage failed",
        _ => OutputJson.NameOf(reason).Replace('-', ' '),
    };

    private static string SoFar(int attempts) => attempts switch
    {
        0 => "",
        1 => " (1 try so far)",
        _ => $" ({Printable.Count(attempts)} tries so far)",
    };

    private static string Stuck(int writes) => writes switch
    {
        0 => "",
        1 => ", 1 write does not return",
        _ => $", {Printable.Count(writes)} writes do not return",
    };

    private static string Clock(DateTimeOffset moment, TimeProvider time) =>
        TimeZoneInfo.ConvertTime(moment, time.LocalTimeZone).ToString("HH:mm:ss", CultureInfo.InvariantCulture);

    private static TimeSpan Positive(TimeSpan duration) => duration > TimeSpan.Zero ? duration : TimeSpan.Zero;
}
