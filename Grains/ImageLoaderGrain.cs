using DistMigrate.Contracts;
using DistMigrate.Grains.Placement;

namespace DistMigrate.Grains;

/// <inheritdoc cref="IImageLoaderGrain"/>
[HostPinned, GrainType("distmigrate.image-loader")]
internal sealed class ImageLoaderGrain(HostedMigrations migrations) : Grain, IImageLoaderGrain
{
    private string Migration => GrainKeys.ParseOnHost(this.GetPrimaryKeyString()).Migration;

    public async Task<HostReply> Load(HostCommand command)
    {
        var load = migrations.GetOrAddLoad(command.Spec);
        load.Gate.Obey(command.Token);
        var (step, failure) = await load.Steps.RunAsync(nameof(Load), load.Attempt.LoadAsync, command.Slice);
        return load.Reply(step, failure);
    }

    public async Task<HostReply> Abort(HostCommand command)
    {
        if (migrations.FindLoad(Migration) is not { } load)
            return HostReply.Unknown with { Step = HostStep.Done };
        load.Gate.Obey(command.Token);
        await load.Steps.CancelAsync(except: null, command.Slice);
        return load.Reply(HostStep.Done);
    }

    public Task Release(HostCommand command)
    {
        migrations.FindLoad(Migration)?.Gate.Obey(command.Token);
        return migrations.ForgetLoadAsync(Migration);
    }

    public Task<HostReply> GetStatus() =>
        Task.FromResult(migrations.FindLoad(Migration)?.Reply(HostStep.Working) ?? HostReply.Unknown);
}
