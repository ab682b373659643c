using DistMigrate.Contracts;
using DistMigrate.Grains.Placement;

namespace DistMigrate.Grains;

/// <inheritdoc cref="IImageLoaderGrain"/>
[HostPinned, GrainType("distmigrate.image-loader")]
internal sealed class ImageLoaderGrain(HostedMigrations migrations) : Grain, IImageLoaderGrain
{
    private string Migration => GrainKeys.ParseOnHost(this.GetPrimaryKeyString()).Migration;

    public Task<HostReply> Prepare(HostCommand command) => Obeyed(command).PrepareAsync(command);

    public Task<HostReply> Preload(HostCommand command) => Obeyed(command).PreloadAsync(command);

    public Task<HostReply> Load(HostCommand command) => Obeyed(command).LoadAsync(command);

    public Task<HostReply> Run(HostCommand command) => Obeyed(command).RunAsync(command);

    public Task<HostReply> Abort(HostCommand command) => Obeyed(command).AbortAsync(command);

    public Task Release(HostCommand command)
    {
        migrations.FindLoad(Migration)?.Gate.Obey(command.Token);
        return migrations.ForgetLoadAsync(Migration);
    }

    public Task<HostReply> GetStatus() =>
        Task.FromResult(migrations.FindLoad(Migration)?.Reply(HostStep.Working) ?? HostReply.Unknown);

    private HostedLoad Obeyed(HostCommand command)
    {
        var load = migrations.GetOrAddLoad(command.Spec);
        load.Gate.Obey(command.Token);
        return load;
    }
}
