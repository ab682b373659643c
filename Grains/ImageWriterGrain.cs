using DistMigrate.Contracts;
using DistMigrate.Grains.Placement;
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
        return save.RunAsync(nameof(Open), save.Attempt.OpenAsync, command.Slice);
    }

    public Task<HostReply> StopGuest(HostCommand command) => Run(command, nameof(StopGuest), attempt => attempt.StopGuestAsync);

    public Task<HostReply> TakeDeviceState(HostCommand command) => Run(command, nameof(TakeDeviceState), attempt => attempt.TakeDeviceStateAsync);

    public Task<HostReply> Publish(HostCommand command) => Run(command, nameof(Publish), attempt => attempt.PublishAsync);

    public async Task<HostReply> Abort(HostCommand command)
    {
        if (Find() is { } save)
        {
            save.Gate.Obey(command.Token);
            return await save.RunAsync(nameof(Abort), _ => save.AbortAsync(nameof(Abort)), command.Slice);
        }

        return await migrations.SettleSaveAsync(command.Spec);
    }

    public Task Release(HostCommand command)
    {
        Find()?.Gate.Obey(command.Token);
        return migrations.ForgetSaveAsync(Migration);
    }

    public Task<HostReply> GetStatus() => Task.FromResult(Find()?.Reply(HostStep.Working) ?? HostReply.Unknown);

    private HostedSave? Find() => migrations.FindSave(Migration);

    private Task<HostReply> Run(HostCommand command, string step, Func<SaveAttempt, Func<CancellationToken, Task>> work)
    {
        if (Find() is not { } save)
            return Task.FromResult(HostReply.Unknown);
        save.Gate.Obey(command.Token);
        return save.RunAsync(step, work(save.Attempt), command.Slice);
    }
}
