using DistMigrate.Client;
using DistMigrate.Client.Connection;
using DistMigrate.Tls;

namespace DistMigrate.Tests.Unit.Client;

public sealed class SettingsTests : IDisposable
{
    private readonly TestSurroundings _test = new();

    public SettingsTests() => _test.Variables["HOME"] = _test.Folder;

    private string MachineFile => Path.Combine(_test.Folder, "machine.json");

    public void Dispose() => _test.Dispose();

    [Fact]
    public void Nothing_configured_means_the_background_silo_of_this_user()
    {
        var settings = Load();
        Assert.False(settings.IsCluster);
        Assert.Equal(Path.Combine(_test.Folder, ".local/state/distmigrate"), settings.StateFolder);
    }

    [Fact]
    public void The_state_folder_follows_its_variables()
    {
        _test.Variables["XDG_STATE_HOME"] = "/xdg";
        Assert.Equal("/xdg/distmigrate", Load().StateFolder);
        _test.Variables["DISTMIGRATE_STATE"] = "/own";
        Assert.Equal("/own", Load().StateFolder);
        Assert.Equal("/flag", Load(new SettingsLayer(State: "/flag")).StateFolder);
    }

    [Fact]
    public void Each_layer_goes_before_the_ones_below_it()
    {
        _test.Write("machine.json", """{ "gateways": ["10.0.0.1:1"], "cluster-id": "machine", "host": "machine-host" }""");
        Assert.Equal(("10.0.0.1:1", "machine", "machine-host"), Summary(Load()));

        _test.Write(".config/distmigrate/config.json", """{ "host": "user-host", "cluster-id": "user" } // the user's""");
        Assert.Equal(("10.0.0.1:1", "user", "user-host"), Summary(Load()));

        _test.Variables["DISTMIGRATE_HOST"] = "env-host";
        _test.Variables["DISTMIGRATE_GATEWAYS"] = "10.0.0.2:2, [fd00::7]:3";
        Assert.Equal(("10.0.0.2:2,[fd00::7]:3", "user", "env-host"), Summary(Load()));

        Assert.Equal(("10.0.0.9:9", "flag", "env-host"), Summary(Load(new SettingsLayer(["10.0.0.9:9"], "flag"))));
    }

    [Fact]
    public void A_cluster_is_a_file_that_exists_or_else_its_Redis()
    {
        _test.Write("machine.json", """{ "gateways": ["10.0.0.1:1"], "cluster-id": "machine" }""");
        _test.Variables["DISTMIGRATE_CLUSTER"] = "redis.example:6379,password=secret";
        var settings = Load();
        Assert.True(settings.IsCluster);
        Assert.Empty(settings.Gateways);
        Assert.Equal(["Unspecified/redis.example:6379"], settings.Redis!.EndPoints.Select(endpoint => endpoint.ToString()));

        _test.Variables["DISTMIGRATE_CLUSTER"] = _test.Write("cluster.json", """{ "redis": "other.example:6379", "cluster-id": "other", "host": "host-b" }""");
        _test.Variables["DISTMIGRATE_HOST"] = "host-c";
        settings = Load();
        Assert.Equal(("", "other", "host-c"), Summary(settings));
        Assert.Equal(["Unspecified/other.example:6379"], settings.Redis!.EndPoints.Select(endpoint => endpoint.ToString()));
    }

    [Theory]
    [InlineData("/nowhere/cluster.json")]
    [InlineData("cluster.json")]
    [InlineData("./cluster")]
    public void A_file_that_does_not_exist_is_not_taken_for_a_Redis(string path)
    {
        _test.Variables["DISTMIGRATE_CLUSTER"] = path;
        var refused = Assert.Throws<CommandException>(() => Load());
        Assert.Equal(ExitCode.Usage, refused.ExitCode);
        Assert.Contains($"no configuration file {path}", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_Redis_that_cannot_be_understood_is_refused_without_its_password()
    {
        _test.Variables["DISTMIGRATE_CLUSTER_ID"] = "id";
        foreach (var text in new[] { "password=secret", "host:6379,nonsense=secret" })
        {
            _test.Variables["DISTMIGRATE_CLUSTER"] = text;
            var refused = Assert.Throws<CommandException>(() => Load());
            Assert.Equal(ExitCode.Usage, refused.ExitCode);
            Assert.DoesNotContain("secret", refused.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void TLS_takes_three_files_by_variables_and_the_configuration_file()
    {
        _test.Write("machine.json", """{ "gateways": ["10.0.0.1:1"], "cluster-id": "machine", "tls-certificate": "/a.pem", "tls-authority": "/ca.pem" }""");
        Assert.Equal(ExitCode.Usage, Assert.Throws<CommandException>(() => Load()).ExitCode);
        _test.Variables["DISTMIGRATE_TLS_KEY"] = "/a.key";
        Assert.Equal(new TlsFiles("/a.pem", "/a.key", "/ca.pem"), Load().Tls);
        _test.Variables["DISTMIGRATE_TLS_CERTIFICATE"] = "/b.pem";
        Assert.Equal("/b.pem", Load().Tls!.Certificate);
    }

    [Fact]
    public void Gateways_without_a_cluster_id_are_refused()
    {
        var e = Assert.Throws<CommandException>(() => Load(new SettingsLayer(["10.0.0.1:1"])));
        Assert.Equal(ExitCode.Usage, e.ExitCode);
    }

    [Theory]
    [InlineData("10.0.0.1")]
    [InlineData("10.0.0.1:0")]
    [InlineData("example.org:1")]
    [InlineData("")]
    public void What_is_no_gateway_is_refused(string text) =>
        Assert.Equal(ExitCode.Usage, Assert.Throws<CommandException>(() => ClientSettings.ParseGateway(text)).ExitCode);

    [Theory]
    [InlineData("{ \"gateway\": [] }")]
    [InlineData("{ \"gateways\": \"10.0.0.1:1\" }")]
    [InlineData("{")]
    [InlineData("")]
    public void A_malformed_file_is_named(string text)
    {
        _test.Write("machine.json", text);
        var e = Assert.Throws<CommandException>(() => Load());
        Assert.Equal(ExitCode.Usage, e.ExitCode);
        Assert.Contains(MachineFile, e.Message, StringComparison.Ordinal);
    }

    private ClientSettings Load(SettingsLayer? flags = null) =>
        ClientSettings.Load(_test.Surroundings, flags ?? new SettingsLayer(), MachineFile);

    private static (string, string, string?) Summary(ClientSettings settings) =>
        (string.Join(",", settings.Gateways), settings.ClusterId, settings.Host);
}
