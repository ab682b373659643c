using DistMigrate.Contracts;
using DistMigrate.Grains.Placement;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Transfer;

namespace DistMigrate.Grains;

/// <inheritdoc cref="IImageWriterGrain"/>
[HostPinned, GrainType("distmigrate.image-writer")]
internal sealed class ImageWriterGrain(HostedMigrations migrations) : Grain, IImageWriterGrain
{
    private string Migration => GrainKeys.ParseOnHost(this.GetPrimaryKeyString()).Migration;

    public Task<HostReply> Open(HostCommand command)
    {
        var save = migrations.GetOrAddSave(command.Spec);
        save.Gate.Obey(command.Token);
        return save.RunAsync(nameof(Open), cancellation => save.Attempt.OpenAsync(TokenOf(command), cancellation), command.Slice);
    }

    public Task<HostReply> Examine(HostCommand command)
    {
        var save = migrations.GetOrAddSave(command.Spec);
        save.Gate.Obey(command.Token);
        return save.ExamineAsync(command);
    }

    public Task<HostReply> Resume(HostCommand command)
    {
        var save = migrations.GetOrAddSave(command.Spec);
        save.Gate.Obey(command.Token);
        return save.RunAsync(nameof(Resume), cancellation => save.Attempt.ResumeAsync(TokenOf(command), command.HasBegun, cancellation), command.Slice);
    }

    public async Task<HostReply> Suspend(HostCommand command)
    {
        if (Find() is not { } save)
            return await migrations.SettleSaveAsync(command.Spec);
        save.Gate.Obey(command.Token);
        return await save.RunSuspensionAsync(command);
    }

    public Task<HostReply> Probe(HostCommand command) => Run(command, $"{nameof(Probe)} {command.Attempt}", attempt => _ => attempt.ProbeAsync());

    public Task<HostReply> TreatGuest(HostCommand command) =>
        RunPublished(command, nameof(TreatGuest), (attempt, cancellation) => attempt.TreatGuestAsync(cancellation));

    public Task<HostReply> TakeBack(HostCommand command) =>
        RunPublished(command, nameof(TakeBack), (attempt, cancellation) => attempt.TakeBackAsync(command.IsForced, cancellation));

    public Task<HostReply> EndSource(HostCommand command) =>
        RunPublished(command, nameof(EndSource), (attempt, cancellation) => attempt.EndSourceAsync(cancellation));

    public Task<HostReply> RemoveImage(HostCommand command) => RunPublished(command, nameof(RemoveImage), (attempt, _) => attempt.RemoveImageAsync());

    public Task<HostReply> StopGuest(HostCommand command) => Run(command, nameof(StopGuest), attempt => attempt.StopGuestAsync);

    public Task<HostReply> TakeDeviceState(HostCommand command) => Run(command, nameof(TakeDeviceState), attempt => attempt.TakeDeviceStateAsync);

    public Task<HostReply> Publish(HostCommand command) => Run(command, nameof(Publish), attempt => _ => attempt.PublishAsync());

    public Task<HostReply> SwitchOver(HostCommand command)
    {
        if (migrations.FindObeyed(Migration, command.Token, command.Incarnation) is not { } save)
            return Task.FromResult(HostReply.Unknown);
        return save.SwitchOverAsync(command, (work, cancellation) => ObeyAsync(save.Attempt, TokenOf(command), work, cancellation));
    }

    public async Task<HostReply> SetBudget(HostCommand command)
    {
        if (Find() is not { } save)
            return HostReply.Unknown;
        save.Gate.Obey(command.Token);
        await save.SetBudgetAsync(command.Budget, command.Holds);
        return save.Reply(HostStep.Working);
    }

    public Task<HostReply> SetBandwidth(HostCommand command)
    {
        if (Find() is not { } save)
            return Task.FromResult(HostReply.Unknown);
        save.Gate.Obey(command.Token);
        save.Attempt.SetBandwidth(command.Spec.Request.Save?.BandwidthLimit ?? 0);
        return Task.FromResult(save.Reply(HostStep.Working));
    }

    public async Task<HostReply> Abort(HostCommand command)
    {
        if (Find() is { } save)
        {
            save.Gate.Obey(command.Token);
            return await save.RunAsync(nameof(Abort), _ => save.AbortAsync(nameof(Abort)), command.Slice);
        }

        return await migrations.RemoveSaveAsync(command.Spec);
    }

    public Task Release(HostCommand command)
    {
        Find()?.Gate.Obey(command.Token);
        return migrations.ForgetSaveAsync(Migration);
    }

    public Task<HostReply> GetStatus() => Task.FromResult(Find()?.Reply(HostStep.Working) ?? HostReply.Unknown);

    private static JournalToken TokenOf(HostCommand command) => new(command.Token.Number, command.Token.Id);

    /// <summary>Runs a step that also a silo can do which did not publish the image: once for each attempt number.</summary>
    private Task<HostReply> RunPublished(HostCommand command, string step, Func<SaveAttempt, CancellationToken, Task> work)
    {
        var save = migrations.GetOrAddSave(command.Spec);
        save.Gate.Obey(command.Token);
        return save.RunAsync($"{step} {command.Attempt}", cancellation => work(save.Attempt, cancellation), command.Slice);
    }

    private HostedSave? Find() => migrations.FindSave(Migration);

    /// <summary>A new coordinator's token is durable before anything is done that it asks.</summary>
    private static async Task ObeyAsync(SaveAttempt attempt, JournalToken token, Func<CancellationToken, Task> work, CancellationToken cancellationToken)
    {
        attempt.Obey(token);
        await work(cancellationToken);
    }

    private Task<HostReply> Run(HostCommand command, string step, Func<SaveAttempt, Func<CancellationToken, Task>> work)
    {
        if (migrations.FindObeyed(Migration, command.Token, command.Incarnation) is not { } save)
            return Task.FromResult(HostReply.Unknown);
        return save.RunAsync(step, cancellation => ObeyAsync(save.Attempt, TokenOf(command), work(save.Attempt), cancellation), command.Slice);
    }
}
