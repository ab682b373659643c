using System.Globalization;
using DistMigrate.Contracts;
using DistMigrate.Transfer;

namespace DistMigrate.Grains;

/// <summary>
/// What is known of a migration before it begins: from a plan, which goes as far as everything is examined and then ends, and for the decision
/// whether a guest may stand still for the load of the whole image.
/// </summary>
internal sealed partial class MigrationGrain
{
    /// <summary>What a plan takes for the speed of storage where no limit is lower, in bytes per second.</summary>
    private const double AssumedRate = 1e9;

    /// <summary>What the target of a move takes that was filled in advance. Measured: 0.2 to 0.3 s.</summary>
    private static readonly TimeSpan FilledLoad = TimeSpan.FromMilliseconds(250);

    /// <summary>How long QEMU stops a guest for a snapshot. Measured: 1 to 53 ms.</summary>
    private static readonly TimeSpan SnapshotPause = TimeSpan.FromMilliseconds(50);

    private bool IsPlan => Spec.Request.Kind == MigrationKind.Plan;

    /// <summary>All is examined: tells what is to be expected, and gives up again what the examination took.</summary>
    private async Task EndPlanAsync(SourceReport source, bool? isFillable)
    {
        var storage = (await Host().GetStatus()).Storage.FirstOrDefault(space => space.Path == Spec.Storage);
        var plan = MakePlan(source, isFillable) with { FreeBytes = storage?.FreeBytes };
        State.Plan = plan;
        State.Reason = FailureReason.None;
        if (plan.FreeBytes < plan.UsedBytes)
            AddNote($"{Spec.Storage} has less free space than the guest has memory in use, so the save would be paused until there is more.");
        if (IsMove && NeedsConsent(plan))
            AddNote(ConsentMessage(plan));
        await EnterAsync(MigrationStep.Abort, MigrationPhase.Setup, IsMove
            ? $"Guest {Spec.Request.Guest} can be moved to {Target}; nothing was changed."
            : $"Guest {Spec.Request.Guest} can be saved into {Spec.Request.ImagePath}; nothing was changed.");
    }

    private PlanReport MakePlan(SourceReport source, bool? isFillable)
    {
        var mode = !source.IsRunning ? SaveMode.Stopped
            : SaveOptions.Mode == SaveMode.Stream && source.IsCompared ? SaveMode.Compare
            : SaveOptions.Mode;
        var rate = SaveOptions.BandwidthLimit > 0 ? Math.Min(SaveOptions.BandwidthLimit, AssumedRate) : AssumedRate;
        var writing = TimeSpan.FromSeconds(source.UsedBytes / rate);
        var comparison = TimeSpan.FromSeconds(source.UsedBytes / PageComparison.BytesPerSecond);
        var downtime = mode switch
        {
            SaveMode.Stream => SwitchOverCost + (source.LogsEveryWrite ? TimeSpan.Zero : comparison),
            SaveMode.Compare => SwitchOverCost + comparison,
            SaveMode.Snapshot => SnapshotPause,
            _ => SwitchOverCost + writing,
        };
        var load = !IsMove ? TimeSpan.Zero : isFillable == true && mode != SaveMode.Stopped ? FilledLoad : TimeSpan.FromSeconds(source.UsedBytes / AssumedRate);
        return new PlanReport(
            mode, source.RamBytes, source.UsedBytes, null, writing, source.IsRunning ? downtime + load : TimeSpan.Zero,
            mode is SaveMode.Stream or SaveMode.Compare ? AskedDowntime : null, load, IsMove ? isFillable : null);
    }

    /// <summary>Whether the guest would stand still for longer than was asked because its target cannot be filled in advance, and nobody has agreed to that.</summary>
    private bool NeedsConsent(PlanReport plan) => plan is { IsFillable: false, AllowedDowntime: { } allowed } && plan.ExpectedLoad > allowed
        && Spec.Request.Move is { AcceptsFullLoad: false } && SaveOptions.Policy != ConvergencePolicy.MustFinish;

    private string ConsentMessage(PlanReport plan) => string.Create(CultureInfo.InvariantCulture,
        $"The QEMU on {Target} cannot be filled in advance, so the guest would stand still for about {plan.ExpectedLoad.TotalSeconds:0.0} s while that loads the whole image, "
        + $"longer than the {plan.AllowedDowntime?.TotalMilliseconds:0} ms that were asked for. Let the target launch a QEMU, give it a fresh one, or agree with --full-load.");
}
