using System.Globalization;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Output;

/// <summary>Writes migrations and their RAMBlocks to standard output.</summary>
internal static class MigrationOutput
{
    public static void Show(this Terminal terminal, MigrationStatus status, TimeProvider time)
    {
        if (terminal.Format == OutputFormat.Json)
        {
            OutputJson.Write(terminal, ToDocument(status), OutputJson.Writing.MigrationDocument);
            return;
        }
        var request = status.Spec.Request;
        var isOver = status.Phase.IsEnd();
        terminal.ShowPairs(
            ("id", status.Spec.Id),
            ("kind", OutputJson.NameOf(request.Kind)),
            ("guest", request.Guest),
            ("host", status.Spec.Host),
            ("target", request.Move?.Target),
            ("image", request.ImagePath),
            ("phase", status.Phase.ToName()),
            ("queue", status.QueuePosition > 0 ? Invariant($"position {status.QueuePosition}") : null),
            ("reason", status.Reason == FailureReason.None ? null : OutputJson.NameOf(status.Reason)),
            // A failure's sentence goes to standard error.
            ("message", status.Phase == MigrationPhase.Failed ? null : status.Message),
            ("size", SizeOf(status.Ram)),
            ("time", TotalTime(status) is { } total ? DurationText.Format(total) : null),
            ("downtime", status.Downtime > TimeSpan.Zero ? InParts(status.Downtime, status.DowntimeParts ?? []) : null),
            ("load", request.Kind == MigrationKind.Restore && status.DowntimeParts is { Count: > 0 } parts
                ? InParts(TimeSpan.FromSeconds(parts.Sum(part => part.Time.TotalSeconds)), parts)
                : null),
            ("rate", status.BytesPerSecond > 0 && status.Phase != MigrationPhase.Paused ? ByteSize.FormatRate(status.BytesPerSecond) : null),
            ("live", ConvergenceText.Of(status)),
            ("guest state", status.GuestState),
            ("since", isOver ? null : LocalTime(status.PhaseSince, time)));
        if (status.Plan is { } plan)
            Show(terminal, plan);
        if (TroubleText.Of(status, time) is { Count: > 0 } trouble)
        {
            terminal.Data("");
            terminal.ShowPairs([.. trouble]);
        }
    }

    public static void Show(this Terminal terminal, IReadOnlyList<MigrationSummary> migrations, TimeProvider time)
    {
        if (terminal.Format == OutputFormat.Json)
        {
            OutputJson.Write(
                terminal,
                new MigrationListDocument(OutputJson.Schema, [.. migrations.Select(ToEntry)]),
                OutputJson.Writing.MigrationListDocument);
            return;
        }
        if (migrations.Count > 0)
            ShowTable(terminal, migrations, time);
    }

    public static void Show(this Terminal terminal, HostStatus host, IReadOnlyList<MigrationSummary> unfinished, TimeProvider time)
    {
        if (terminal.Format == OutputFormat.Json)
        {
            OutputJson.Write(
                terminal,
                new HostDocument(
                    OutputJson.Schema, host.Host, host.Version, host.Guests, host.StorageRoots, host.Running, host.Queued,
                    [.. unfinished.Select(ToEntry)]),
                OutputJson.Writing.HostDocument);
            return;
        }
        terminal.ShowPairs(
            ("host", host.Host),
            ("silo version", host.Version),
            ("running", Invariant($"{host.Running.Count}")),
            ("queued", Invariant($"{host.Queued.Count}")),
            ("guests", host.Guests.Count == 0 ? "none configured; name one by --qmp PATH" : string.Join(", ", host.Guests)),
            ("storage roots", string.Join(", ", host.StorageRoots)));
        if (unfinished.Count > 0)
            ShowTable(terminal, unfinished, time);
    }

    /// <summary>Shows RAMBlocks: their pages by state, or why which were written.</summary>
    public static void Show(this Terminal terminal, string id, IReadOnlyList<BlockStatus> blocks, bool showsFailures = false)
    {
        if (terminal.Format == OutputFormat.Json)
        {
            OutputJson.Write(
                terminal, new BlocksDocument(OutputJson.Schema, id, [.. blocks.Select(ToEntry)]), OutputJson.Writing.BlocksDocument);
            return;
        }
        if (showsFailures)
        {
            ShowFailures(terminal, blocks);
            return;
        }
        var table = Tables.Make(
            terminal, "Ramblock", "Activity", "Memory", ">Size", ">Dirty", ">In flight", ">Written", ">Durable", ">Zero", ">Errors", "Error");
        foreach (var block in blocks)
        {
            table.Row(
                block.Name, OutputJson.NameOf(block.Activity), block.Memory, ByteSize.Format(block.UsedLength),
                Printable.Count(block.Pages.Dirty), Printable.Count(block.Pages.InFlight), Printable.Count(block.Pages.Written),
                Printable.Count(block.Pages.Durable), Printable.Count(block.Pages.Zero), Printable.Count(block.Errors), block.Error);
        }
        terminal.Show(table);
    }

    private static void ShowFailures(Terminal terminal, IReadOnlyList<BlockStatus> blocks)
    {
        var table = Tables.Make(
            terminal, "Ramblock", "Activity", ">Size", ">Failed", ">Dirty", ">Durable", ">First", ">Redirtied", ">Resumed", ">Errors", "Error");
        foreach (var block in blocks)
        {
            table.Row(
                block.Name, OutputJson.NameOf(block.Activity), ByteSize.Format(block.UsedLength), Printable.Count(block.FailedPages),
                Printable.Count(block.Pages.Dirty), Printable.Count(block.Pages.Durable), Printable.Count(block.WrittenPages.First),
                Printable.Count(block.WrittenPages.Redirtied), Printable.Count(block.WrittenPages.Resumed), Printable.Count(block.Errors), block.Error);
        }
        terminal.Show(table);
    }

    internal static MigrationDocument ToDocument(MigrationStatus status)
    {
        var request = status.Spec.Request;
        var ram = status.Ram;
        return new MigrationDocument(
            OutputJson.Schema,
            status.Spec.Id,
            OutputJson.NameOf(request.Kind),
            request.Guest,
            status.Spec.Host,
            request.ImagePath,
            request.QmpPath,
            status.Phase.ToName(),
            ReasonName(status.Reason),
            status.Message,
            status.Spec.Submitted,
            status.Started,
            status.Ended,
            status.PhaseSince,
            TotalTime(status)?.TotalSeconds,
            status.Downtime.TotalSeconds,
            status.QueuePosition,
            status.GuestState,
            new RamDocument(
                ram.Total, ram.Transferred, ram.Remaining, ram.Durable, ram.Duplicate, ram.Normal, ram.NormalBytes, ram.DirtySyncCount,
                Math.Round(status.BytesPerSecond)),
            status.Notes,
            status.Trouble is { } trouble
                ? new TroubleDocument(OutputJson.NameOf(trouble.Reason), trouble.Error, trouble.Since, trouble.Attempts, trouble.NextTry, trouble.StuckWrites)
                : null,
            request.Move?.Target,
            request.Save is { } save ? OutputJson.NameOf(save.Mode) : null,
            status.Live is { } live
                ? new LiveDocument(
                    live.Iteration, Math.Round(live.DirtyBytesPerSecond), Math.Round(live.WriteBytesPerSecond), live.Remaining,
                    live.ExpectedDowntime.TotalSeconds, live.AllowedDowntime?.TotalSeconds, live.ThrottlePercent)
                : null,
            status.DowntimeParts is { Count: > 0 } parts ? [.. parts.Select(part => new DowntimePartDocument(part.Name, part.Time.TotalSeconds))] : null,
            status.Plan is { } plan
                ? new PlanDocument(
                    OutputJson.NameOf(plan.Mode), plan.RamBytes, plan.UsedBytes, plan.FreeBytes, plan.ExpectedWriting.TotalSeconds, plan.ExpectedDowntime.TotalSeconds,
                    plan.AllowedDowntime?.TotalSeconds, plan.ExpectedLoad.TotalSeconds, plan.IsFillable)
                : null);
    }

    private static void Show(Terminal terminal, PlanReport plan)
    {
        terminal.Data("");
        terminal.ShowPairs(
            ("mode", OutputJson.NameOf(plan.Mode)),
            ("memory", $"{ByteSize.Format(plan.UsedBytes)} in use of {ByteSize.Format(plan.RamBytes)}"),
            ("free space", plan.FreeBytes is { } free ? ByteSize.Format(free) : null),
            ("writing", $"about {DurationText.Format(plan.ExpectedWriting)}"),
            ("downtime", $"about {DurationText.Format(plan.ExpectedDowntime)}" + (plan.AllowedDowntime is { } allowed ? $"; {DurationText.Format(allowed)} allowed until the image is published" : "")),
            ("load", plan.IsFillable switch
            {
                null => null,
                true => $"the target is filled in advance; about {DurationText.Format(plan.ExpectedLoad)} of the downtime",
                false => $"the target loads the whole image; about {DurationText.Format(plan.ExpectedLoad)} of the downtime",
            }));
    }

    private static string InParts(TimeSpan whole, IReadOnlyList<DowntimePart> parts) => DurationText.Format(whole) + (parts.Count > 0
        ? $" ({string.Join(", ", parts.Select(part => $"{part.Name} {DurationText.Format(part.Time)}"))})"
        : "");

    /// <summary>From leaving the queue to the end; null before that.</summary>
    internal static TimeSpan? TotalTime(MigrationStatus status) => status.Ended - status.Started;

    private static void ShowTable(Terminal terminal, IReadOnlyList<MigrationSummary> migrations, TimeProvider time)
    {
        var table = Tables.Make(terminal, "Id", "Kind", "Guest", "Host", "Phase", "Reason", "Submitted", "Image");
        foreach (var migration in migrations)
        {
            var request = migration.Spec.Request;
            table.Row(
                migration.Spec.Id, OutputJson.NameOf(request.Kind), request.Guest, WayOf(migration.Spec), migration.Phase.ToName(),
                ReasonName(migration.Reason) ?? "", LocalTime(migration.Spec.Submitted, time), request.ImagePath);
        }
        terminal.Show(table);
    }

    private static string WayOf(MigrationSpec spec) => spec.Request.Move is { } move ? $"{spec.Host} → {move.Target}" : spec.Host;

    private static MigrationEntry ToEntry(MigrationSummary migration) => new(
        migration.Spec.Id,
        OutputJson.NameOf(migration.Spec.Request.Kind),
        migration.Spec.Request.Guest,
        migration.Spec.Host,
        migration.Spec.Request.ImagePath,
        migration.Phase.ToName(),
        ReasonName(migration.Reason),
        migration.Spec.Submitted,
        migration.Changed,
        migration.Spec.Request.Move?.Target);

    private static BlockEntry ToEntry(BlockStatus block) => new(
        block.Name,
        OutputJson.NameOf(block.Activity),
        block.Memory,
        block.UsedLength,
        block.Pages.Dirty,
        block.Pages.InFlight,
        block.Pages.Written,
        block.Pages.Durable,
        block.Pages.Zero,
        block.Normal,
        block.Duplicate,
        block.WrittenBytes,
        block.Errors,
        block.Iteration,
        block.WrittenPages.First,
        block.WrittenPages.Redirtied,
        block.WrittenPages.Resumed,
        block.FailedPages,
        ReasonName(block.Reason),
        block.Error.Length == 0 ? null : block.Error);

    private static string? ReasonName(FailureReason reason) => reason == FailureReason.None ? null : OutputJson.NameOf(reason);

    private static string? SizeOf(RamCounters ram) => ram.Total == 0
        ? null
        : ram.Transferred == 0 ? ByteSize.Format(ram.Total) : $"{ByteSize.Format(ram.Total)} ({ByteSize.Format(ram.Transferred)} written)";

    internal static string LocalTime(DateTimeOffset moment, TimeProvider time) =>
        TimeZoneInfo.ConvertTime(moment, time.LocalTimeZone).ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture);

    private static string Invariant(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
