using DistMigrate.Silo;
using DistMigrate.Tests.Lab;
using Microsoft.Extensions.Configuration;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class SiloSettingsTests
{
    [Fact]
    public void The_defaults_make_sense()
    {
        Read(("Host", "host-a"));
        var options = new SiloSettings().ToHostOptions("/state");
        Assert.Equal(("/state", 2, 8, 1 << 20), (options.StateFolder, options.MaxOutgoing, options.Writers, options.ExtentBytes));
        Assert.All(options.StorageRoots, root => Assert.True(Path.IsPathFullyQualified(root), root));
        Assert.NotEmpty(options.StorageRoots);
        Assert.Equal(("127.0.0.1", "127.0.0.1"), (new SiloSettings().Address, new SiloSettings().HttpAddress));
    }

    [Fact]
    public void Every_setting_is_read_from_configuration()
    {
        var settings = Read(
            ("Host", "host-a"), ("Storage:Roots:0", "/srv/a"), ("Storage:Roots:1", "/srv/b"), ("Guests:vm1", "/run/vm1.sock"),
            ("Limits:MaxOutgoing", "3"), ("Limits:MaxIncoming", "4"), ("Limits:MaxPerStorage", "100"), ("Limits:Writers", "5"), ("Limits:ExtentBytes", "65536"), ("IdleExit", "00:00:30"), ("GatewayPort", "30001"),
            ("GuestFolder", "/run/guests"), ("Launch:Program", "/usr/bin/qemu"), ("Launch:MemoryFolder", "/mem"),
            ("Definitions:vm2:Arguments:0", "-m"), ("Definitions:vm2:Arguments:1", "64M"));
        var options = settings.ToHostOptions("/state");
        Assert.Equal(("host-a", 5, 65536), (options.Name, options.Writers, options.ExtentBytes));
        Assert.Equal((3, 4, 100), (options.MaxOutgoing, options.MaxIncoming, options.MaxPerStorage));
        Assert.Equal(["/srv/a", "/srv/b"], options.StorageRoots);
        Assert.Equal("/run/vm1.sock", options.Guests["vm1"]);
        Assert.Equal(("/run/guests", "/usr/bin/qemu", "/mem"), (options.GuestFolder, options.LaunchProgram, options.MemoryFolder));
        Assert.Equal(["-m", "64M"], options.Definitions["vm2"]);
        Assert.Equal((TimeSpan.FromSeconds(30), 30001), (settings.IdleExit, settings.GatewayPort));
    }

    [Theory]
    [InlineData("Limits:MaxOutgoing", "0")]
    [InlineData("Limits:MaxOutgoing", "65")]
    [InlineData("Limits:MaxIncoming", "0")]
    [InlineData("Limits:MaxIncoming", "65")]
    [InlineData("Limits:MaxPerStorage", "0")]
    [InlineData("Limits:MaxPerStorage", "1025")]
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
    [InlineData("HttpAddress", "localhost")]
    [InlineData("Cluster:Tls:Certificate", "relative.pem")]
    [InlineData("GatewayPort", "65536")]
    [InlineData("SiloPort", "-1")]
    [InlineData("HttpPort", "70000")]
    [InlineData("IdleExit", "-00:00:01")]
    [InlineData("Storage:Roots:0", "relative")]
    [InlineData("GuestFolder", "relative")]
    [InlineData("Launch:Program", "bin/qemu")]
    [InlineData("Launch:MemoryFolder", "")]
    [InlineData("Definitions:-vm:Arguments:0", "-m")]
    [InlineData("Guests:-vm", "/run/vm.qmp")]
    [InlineData("Guests:vm", "vm.qmp")]
    [InlineData("Cluster:Provider", "7")]
    public void A_value_that_makes_no_sense_is_named(string name, string value)
    {
        var error = Assert.Throws<SettingsException>(() => Read((name, value)));
        Assert.Contains(error.Faults, fault => fault.StartsWith(name.Split(":Arguments")[0], StringComparison.Ordinal));
    }

    [Fact]
    public void TLS_takes_three_files_that_belong_together_and_a_cluster()
    {
        var folder = Directory.CreateTempSubdirectory("dm-tls-").FullName;
        try
        {
            using var authority = new TestAuthority(folder);
            var (certificate, key) = authority.Issue("silo", isSilo: true);
            (string, string)[] tls = [("Cluster:Tls:Certificate", certificate), ("Cluster:Tls:Key", key), ("Cluster:Tls:Authority", authority.CertificateFile)];
            (string, string)[] redis = [("Cluster:Provider", "Redis"), ("Cluster:ConnectionString", "redis.example"), ("Cluster:Id", "one")];
            Read([.. redis, .. tls]);
            Assert.Contains("Cluster:Provider", Refusal(tls), StringComparison.Ordinal);
            Assert.Contains("Cluster:Tls:Authority", Refusal([.. redis, .. tls[..2]]), StringComparison.Ordinal);
            authority.Issue("silo", isSilo: false);
            Assert.Contains(certificate, Refusal([.. redis, .. tls]), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }

        static string Refusal((string, string)[] values) => Assert.Throws<SettingsException>(() => Read(values)).Message;
    }

    [Theory]
    [InlineData("Limits:Writers", "many")]
    [InlineData("IdleExit", "soon")]
    public void A_value_of_another_kind_is_named(string name, string value) =>
        Assert.Contains(name, Assert.Throws<SettingsException>(() => Read((name, value))).Message, StringComparison.Ordinal);

    [Fact]
    public void A_cluster_needs_a_Redis_and_an_id_and_its_password_is_not_told()
    {
        (string, string) redis = ("Cluster:Provider", "Redis");
        (string, string) server = ("Cluster:ConnectionString", "redis.example:6379,password=secret");
        Read(redis, server, ("Cluster:Id", "one"));
        Assert.Contains("Cluster:Id", Assert.Throws<SettingsException>(() => Read(redis, server)).Message, StringComparison.Ordinal);
        foreach (var text in new[] { "", "password=secret", "redis.example:6379,nonsense=secret" })
        {
            var refused = Assert.Throws<SettingsException>(() => Read(redis, ("Cluster:ConnectionString", text), ("Cluster:Id", "one")));
            Assert.Contains("Cluster:ConnectionString", refused.Message, StringComparison.Ordinal);
            Assert.DoesNotContain("secret", refused.Message, StringComparison.Ordinal);
        }
    }

    private static SiloSettings Read(params (string Name, string Value)[] values) =>
        SettingsReader.Read(new ConfigurationBuilder().AddInMemoryCollection(values.ToDictionary(pair => pair.Name, pair => (string?)pair.Value)).Build());
}
