using System.Text.Json;
using DistMigrate.Contracts;
using DistMigrate.Silo.Page;
using DistMigrate.Tests.Unit.Client;

namespace DistMigrate.Tests.Unit.Silo.Page;

public sealed class PageDocumentsTests
{
    private const string Secret = "not-for-the-page";

    [Fact]
    public void A_migration_is_told_by_the_names_of_the_command_and_without_its_monitors()
    {
        var status = TestMigration.Status(rate: 1234.4) with
        {
            Trouble = new StorageTrouble(FailureReason.NoSpace, "No space.", TestMigration.Moment, 3, TestMigration.Moment.AddSeconds(9), 1),
            Live = new ConvergenceStatus(2, 10.4, 20.6, 4096, TimeSpan.FromMilliseconds(120), TimeSpan.FromMilliseconds(300)),
            DowntimeParts = [new DowntimePart("stream", TimeSpan.FromMilliseconds(40))],
        };
        status = status with
        {
            Spec = status.Spec with
            {
                Request = status.Spec.Request with
                {
                    Kind = MigrationKind.Move,
                    QmpPath = $"/{Secret}/a.qmp",
                    Restore = new RestoreOptions(),
                    Move = new MoveOptions("host-b", $"/{Secret}/b.qmp"),
                },
            },
        };

        var json = Serialize(MigrationDocument.Of(status, TestMigration.Moment));
        Assert.DoesNotContain(Secret, json.ToString(), StringComparison.Ordinal);
        Assert.Equal(
            ("m-1", "move", "web", "host-a", "host-b", "active", 1234.0, 0.34),
            (Text("id"), Text("kind"), Text("guest"), Text("host"), Text("target"), Text("phase"), json.GetProperty("ram").GetProperty("bytes-per-second").GetDouble(),
                json.GetProperty("downtime").GetDouble()));

        // What the command's own document of the same migration has, and this one too, is the same.
        var command = JsonSerializer.SerializeToElement(
            DistMigrate.Client.Output.MigrationOutput.ToDocument(status), DistMigrate.Client.Output.OutputJson.Default.MigrationDocument);
        var shared = command.EnumerateObject().Where(property => json.TryGetProperty(property.Name, out _)).ToArray();
        Assert.True(shared.Length > 18, string.Join(", ", shared.Select(property => property.Name)));
        Assert.All(shared, property => Assert.True(JsonElement.DeepEquals(property.Value, json.GetProperty(property.Name)), property.Name));
        Assert.Equal(["schema", "qmp"], command.EnumerateObject().Select(property => property.Name).Except(shared.Select(property => property.Name)));

        string Text(string name) => json.GetProperty(name).GetString()!;
    }

    [Fact]
    public void A_block_has_a_map_only_when_its_host_tells_one()
    {
        var block = TestMigration.Block("pc.ram", 4 * 4096);
        var with = Serialize(BlockEntry.Of(block, [new PageCounts(1, 0, 1, 0, 1), new PageCounts(0, 1, 0, 1, 0)]));
        Assert.Equal("""{"dirty":[1,0],"in-flight":[0,1],"written":[1,0],"durable":[0,1],"zero":[1,0]}""", with.GetProperty("map").GetRawText());
        Assert.False(Serialize(BlockEntry.Of(block, [])).TryGetProperty("map", out _));
    }

    [Fact]
    public void A_host_that_never_answered_is_told_with_its_state_alone()
    {
        var entry = Serialize(HostEntry.Of(new HostPresence("hv2", "10.0.0.2:11111", IsUp: false, TestMigration.Moment), null, null));
        Assert.Equal("down", entry.GetProperty("state").GetString());
        Assert.False(entry.TryGetProperty("outgoing", out _));
        Assert.DoesNotContain("10.0.0.2", entry.ToString(), StringComparison.Ordinal);
    }

    private static JsonElement Serialize<T>(T part) => JsonSerializer.SerializeToElement(part, PageJson.Default.Options);
}
