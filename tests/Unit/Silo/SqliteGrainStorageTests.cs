using DistMigrate.Grains;
using DistMigrate.Silo;
using DistMigrate.Tests.Unit.Transfer;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Serialization;
using Orleans.Storage;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class SqliteGrainStorageTests : IDisposable
{
    private const string Name = "migration";

    private static readonly GrainId Grain = GrainId.Create("distmigrate.migration", "a/b c");

    private readonly TestFolder _folder = new();
    private readonly ServiceProvider _services = new ServiceCollection().AddSerializer().BuildServiceProvider();
    private SqliteGrainStorage _storage;

    public SqliteGrainStorageTests() => _storage = Open();

    [Fact]
    public async Task A_state_that_was_never_written_is_new_and_has_no_etag()
    {
        var state = await ReadAsync();
        Assert.Equal((false, null, MigrationStep.None), (state.RecordExists, state.ETag, state.State!.Step));
    }

    [Fact]
    public async Task A_state_is_read_as_it_was_written_also_after_the_file_was_opened_anew()
    {
        var written = await ReadAsync();
        written.State!.Step = MigrationStep.Copy;
        written.State!.Message = "Writes the guest's pages.";
        written.State!.RamBlocks = ["pc.ram", "0000:00:02.0/vga.vram"];
        await _storage.WriteStateAsync(Name, Grain, written);
        _storage.Dispose();
        _storage = Open();
        var read = await ReadAsync();
        Assert.Equal((true, written.ETag, MigrationStep.Copy, written.State!.Message), (read.RecordExists, read.ETag, read.State!.Step, read.State!.Message));
        Assert.Equal(written.State!.RamBlocks, read.State!.RamBlocks);
    }

    [Fact]
    public async Task Grains_and_names_are_kept_apart()
    {
        await WriteAsync(await ReadAsync(), MigrationStep.Copy);
        var other = NewState();
        await _storage.ReadStateAsync("other", Grain, other);
        Assert.False(other.RecordExists);
        await _storage.ReadStateAsync(Name, GrainId.Create("distmigrate.migration", "a/b"), other);
        Assert.False(other.RecordExists);
    }

    [Fact]
    public async Task Of_two_activations_the_one_with_the_older_etag_is_refused_and_changes_nothing()
    {
        await WriteAsync(await ReadAsync(), MigrationStep.Open);
        var one = await ReadAsync();
        var other = await ReadAsync();
        await WriteAsync(one, MigrationStep.Stop);
        await Assert.ThrowsAsync<InconsistentStateException>(() => WriteAsync(other, MigrationStep.Abort));
        await Assert.ThrowsAsync<InconsistentStateException>(() => _storage.ClearStateAsync(Name, Grain, other));
        Assert.Equal(MigrationStep.Stop, (await ReadAsync()).State!.Step);
        await WriteAsync(one, MigrationStep.Copy);
    }

    [Fact]
    public async Task Of_two_activations_that_both_found_nothing_the_second_to_write_is_refused()
    {
        var one = await ReadAsync();
        var other = await ReadAsync();
        await WriteAsync(one, MigrationStep.Queued);
        await Assert.ThrowsAsync<InconsistentStateException>(() => WriteAsync(other, MigrationStep.Queued));
    }

    [Fact]
    public async Task A_cleared_state_is_new_again_and_an_old_etag_is_still_refused()
    {
        var state = await ReadAsync();
        await WriteAsync(state, MigrationStep.Copy);
        var old = await ReadAsync();
        await _storage.ClearStateAsync(Name, Grain, state);
        Assert.Equal((false, MigrationStep.None), (state.RecordExists, state.State!.Step));
        Assert.False((await ReadAsync()).RecordExists);
        await Assert.ThrowsAsync<InconsistentStateException>(() => WriteAsync(old, MigrationStep.Stop));
        await WriteAsync(state, MigrationStep.Open);
        Assert.Equal((true, MigrationStep.Open), ((await ReadAsync()).RecordExists, (await ReadAsync()).State!.Step));
    }

    [Fact]
    public async Task Of_many_writers_with_one_etag_exactly_one_succeeds()
    {
        for (var round = 0; round < 5; round++)
        {
            var states = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => ReadAsync()));
            var refused = 0;
            await Task.WhenAll(states.Select(async state =>
            {
                try
                {
                    await WriteAsync(state, MigrationStep.Copy);
                }
                catch (InconsistentStateException)
                {
                    Interlocked.Increment(ref refused);
                }
            }));
            Assert.Equal(7, refused);
        }
    }

    [Fact]
    public async Task Two_silos_that_share_a_file_see_each_others_writes()
    {
        using var second = Open();
        var state = await ReadAsync();
        await WriteAsync(state, MigrationStep.Copy);
        var read = NewState();
        await second.ReadStateAsync(Name, Grain, read);
        Assert.Equal((state.ETag, MigrationStep.Copy), (read.ETag, read.State!.Step));
        await second.WriteStateAsync(Name, Grain, read);
        await Assert.ThrowsAsync<InconsistentStateException>(() => WriteAsync(state, MigrationStep.Stop));
    }

    [Fact]
    public async Task The_state_is_readable_by_this_user_alone()
    {
        await WriteAsync(await ReadAsync(), MigrationStep.Copy);
        Assert.All(Directory.GetFiles(_folder.Path), file => Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file)));
    }

    public void Dispose()
    {
        _storage.Dispose();
        _services.Dispose();
        _folder.Dispose();
    }

    private static GrainState<MigrationState> NewState() => new(new MigrationState());

    private SqliteGrainStorage Open() => new(_folder["grains.sqlite"], _services.GetRequiredService<Serializer>());

    private async Task<GrainState<MigrationState>> ReadAsync()
    {
        var state = NewState();
        await _storage.ReadStateAsync(Name, Grain, state);
        return state;
    }

    private Task WriteAsync(GrainState<MigrationState> state, MigrationStep step)
    {
        state.State!.Step = step;
        return _storage.WriteStateAsync(Name, Grain, state);
    }
}
