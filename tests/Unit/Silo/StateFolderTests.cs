using System.Text.Json;
using DistMigrate.Silo;
using DistMigrate.Tests.Unit.Transfer;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class StateFolderTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public void The_endpoint_file_is_whole_private_and_can_be_replaced_and_removed()
    {
        var path = _folder["silo.json"];
        _folder.Write("silo.json.new", "what a silo that was killed left");
        Endpoint(1).Write(_folder.Path);
        Endpoint(2).Write(_folder.Path);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        using var json = JsonDocument.Parse(File.ReadAllText(path));
        Assert.Equal((2, "127.0.0.1:30001"), (json.RootElement.GetProperty("pid").GetInt32(), json.RootElement.GetProperty("gateway").GetString()));
        Assert.Equal([path], Directory.GetFiles(_folder.Path));
        EndpointFile.Remove(_folder.Path);
        EndpointFile.Remove(_folder.Path);
        Assert.False(File.Exists(path));
    }

    [Fact]
    public void A_cluster_id_cannot_be_guessed_from_another()
    {
        var ids = Enumerable.Range(0, 100).Select(_ => EndpointFile.NewClusterId()).ToHashSet();
        Assert.Equal(100, ids.Count);
        Assert.All(ids, id => Assert.Equal("local-".Length + 32, id.Length));
    }

    [Fact]
    public void A_state_folder_belongs_to_one_silo_at_a_time()
    {
        using (var first = SiloLock.TryTake(_folder["state"]))
        {
            Assert.NotNull(first);
            Assert.Null(SiloLock.TryTake(_folder["state"]));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder["state"]));
        }

        using var next = SiloLock.TryTake(_folder["state"]);
        Assert.NotNull(next);
    }

    [Fact]
    public void A_further_lock_is_held_along_with_the_first_and_freed_with_it()
    {
        var host = _folder["host.lock"];
        using var other = SiloLock.TryTake(_folder["b"])!;
        using (var first = SiloLock.TryTake(_folder["a"])!)
        {
            Assert.True(first.TryAdd(host));
            Assert.False(other.TryAdd(host));
        }

        Assert.True(other.TryAdd(host));
    }

    public void Dispose() => _folder.Dispose();

    private static EndpointFile Endpoint(int pid) => new(pid, "host-a", "127.0.0.1:30001", "cluster", "service", "http://127.0.0.1:30002", "1.0");
}
