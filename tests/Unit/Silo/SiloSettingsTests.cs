using DistMigrate.Silo;
using Microsoft.Extensions.Configuration;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class SiloSettingsTests
{
    [Fact]
    public void The_defaults_make_sense()
    {
        new SiloSettings { Host = "host-a" }.Check();
        var options = new SiloSettings().ToHostOptions("/state");
        Assert.Equal(("/state", 2, 8, 1 << 20), (options.StateFolder, options.MaxRunning, options.Writers, options.ExtentBytes));
        Assert.All(options.StorageRoots, root => Assert.True(Path.IsPathFullyQualified(root), root));
        Assert.NotEmpty(options.StorageRoots);
    }

    [Fact]
    public void Every_setting_is_read_from_configuration()
    {
        var settings = Read(
            ("Host", "host-a"), ("Storage:Roots:0", "/srv/a"), ("Storage:Roots:1", "/srv/b"), ("Guests:vm1", "/run/vm1.sock"),
            ("Limits:MaxRunning", "3"), ("Limits:Writers", "5"), ("Limits:ExtentBytes", "65536"), ("IdleExit", "00:00:30"), ("GatewayPort", "30001"));
        settings.Check();
        var options = settings.ToHostOptions("/state");
        Assert.Equal(("host-a", 3, 5, 65536), (options.Name, options.MaxRunning, options.Writers, options.ExtentBytes));
        Assert.Equal(["/srv/a", "/srv/b"], options.StorageRoots);
        Assert.Equal("/run/vm1.sock", options.Guests["vm1"]);
        Assert.Equal((TimeSpan.FromSeconds(30), 30001), (settings.IdleExit, settings.GatewayPort));
    }

    [Theory]
    [InlineData("Limits:MaxRunning", "0")]
    [InlineData("Limits:MaxRunning", "65")]
    [InlineData("Limits:Writers", "0")]
    [InlineData("Limits:Writers", "-1")]
    [InlineData("Limits:Writers", "65")]
    [InlineData("Limits:ExtentBytes", "0")]
    [InlineData("Limits:ExtentBytes", "4095")]
    [InlineData("Limits:ExtentBytes", "5000")]
    [InlineData("Limits:ExtentBytes", "8392704")]
    [InlineData("Host", "a/b")]
    [InlineData("Host", "")]
    [InlineData("Address", "not an address")]
    [InlineData("GatewayPort", "65536")]
    [InlineData("SiloPort", "-1")]
    [InlineData("HttpPort", "70000")]
    [InlineData("IdleExit", "-00:00:01")]
    [InlineData("Storage:Roots:0", "relative")]
    public void A_value_that_makes_no_sense_is_named(string name, string value)
    {
        var error = Assert.Throws<InvalidOperationException>(() => Read((name, value)).Check());
        Assert.Contains(name.Split(":0")[0], error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("Limits:Writers", "many")]
    [InlineData("IdleExit", "soon")]
    public void A_value_of_another_kind_is_named(string name, string value) =>
        Assert.Contains(name, Assert.Throws<InvalidOperationException>(() => Read((name, value))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_cluster_needs_a_Redis_and_an_id_and_its_password_is_not_told()
    {
        (string, string) redis = ("Cluster:Provider", "Redis");
        (string, string) server = ("Cluster:ConnectionString", "redis.example:6379,password=secret");
        Read(redis, server, ("Cluster:Id", "one")).Cluster.Check();
        Assert.Contains("Cluster:Id", Assert.Throws<InvalidOperationException>(() => Read(redis, server).Cluster.Check()).Message, StringComparison.Ordinal);
        foreach (var text in new[] { "", "password=secret", "redis.example:6379,nonsense=secret" })
        {
            var refused = Assert.Throws<InvalidOperationException>(() => Read(redis, ("Cluster:ConnectionString", text), ("Cluster:Id", "one")).Cluster.Check());
            Assert.Contains("Cluster:ConnectionString", refused.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("secret", refused.Message, StringComparison.Ordinal);
        }
    }

    private static SiloSettings Read(params (string Name, string Value)[] values) =>
        new ConfigurationBuilder().AddInMemoryCollection(values.ToDictionary(pair => pair.Name, pair => (string?)pair.Value)).Build().Get<SiloSettings>()!;
}
