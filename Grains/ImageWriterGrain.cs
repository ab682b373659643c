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

    public Task<HostReply> TreatGuest(HostCommand command)
    {
        var save = migrations.GetOrAddSave(command.Spec);
        save.Gate.Obey(command.Token);
        return save.RunAsync($"{nameof(TreatGuest)} {command.Attempt}", save.Attempt.TreatGuestAsync, command.Slice);
    }

    public Task<HostReply> StopGuest(HostCommand command) => Run(command, nameof(StopGuest), attempt => attempt.StopGuestAsync);

    public Task<HostReply> TakeDeviceState(HostCommand command) => Run(command, nameof(TakeDeviceState), attempt => attempt.TakeDeviceStateAsync);

    public Task<HostReply> Publish(HostCommand command) => Run(command, nameof(Publish), attempt => _ => attempt.PublishAsync());

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

    private HostedSave? Find() => migrations.FindSave(Migration);

    /// <summary>A new coordinator's token is durable before anything is done that it asks.</summary>
    private static async Task ObeyAsync(SaveAttempt attempt, JournalToken token, Func<CancellationToken, Task> work, CancellationToken cancellationToken)
    {
        attempt.Obey(token);
        await work(cancellationToken);
    }

    private Task<HostReply> Run(HostCommand command, string step, Func<SaveAttempt, Func<CancellationToken, Task>> work)
    {
        if (Find() is not { } save)
            return Task.FromResult(HostReply.Unknown);
        save.Gate.Obey(command.Token);
        return save.RunAsync(step, cancellation => ObeyAsync(save.Attempt, TokenOf(command), work(save.Attempt), cancellation), command.Slice);
    }
}
