using DistMigrate.Grains;
using DistMigrate.Silo;
using DistMigrate.Tests.Unit.Transfer;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using Orleans.Serialization;
using Orleans.Storage;
using Orleans.TestingHost;

namespace DistMigrate.Tests.Unit.Grains;

/// <summary>A cluster of two silos in this process, of the hosts host-a and host-b, that share one file of grain state.</summary>
public sealed class GrainCluster : IAsyncLifetime, IAsyncDisposable
{
    public const string HostA = "host-a";
    public const string HostB = "host-b";

    private readonly TestFolder _folder = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddSerializer().BuildServiceProvider();
    private readonly SqliteGrainStorage _sqlite;
    private InProcessTestCluster? _cluster;

    public GrainCluster()
    {
        _sqlite = new SqliteGrainStorage(_folder["grains.sqlite"], _services.GetRequiredService<Serializer>());
        Storage = new FailingStorage(_sqlite);
    }

    internal FailingStorage Storage { get; }

    public IGrainFactory Grains => _cluster!.Client;

    /// <summary>A path for an image below the only storage root.</summary>
    public string Image(string name) => _folder[name];

    public async Task InitializeAsync()
    {
        var builder = new InProcessTestClusterBuilder(2);
        var names = new Queue<string>([HostA, HostB]);
        builder.ConfigureSilo((_, silo) =>
        {
            string host;
            lock (names)
                host = names.Dequeue();
            silo.Services.AddSingleton(Options.Create(new HostOptions
            {
                Name = host,
                StateFolder = _folder[host],
                RuntimeFolder = _folder["run"],
                StorageRoots = [_folder.Path],
            }));
            silo.AddMigrationGrains(host);
            silo.Services.AddKeyedSingleton<IGrainStorage>(StorageNames.Migrations, Storage);
        });
        _cluster = builder.Build();
        await _cluster.DeployAsync();
    }

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    public async ValueTask DisposeAsync()
    {
        if (_cluster is not null)
            await _cluster.DisposeAsync();
        _sqlite.Dispose();
        await _services.DisposeAsync();
        _folder.Dispose();
    }
}
