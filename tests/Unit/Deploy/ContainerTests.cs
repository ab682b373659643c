using System.Collections;
using System.Text.RegularExpressions;
using DistMigrate.Silo;
using YamlDotNet.Core;
using YamlDotNet.Serialization;

namespace DistMigrate.Tests.Unit.Deploy;

public sealed partial class ContainerTests
{
    private const string Dockerfile = "deploy/container/Dockerfile";

    [Fact]
    public void The_settings_of_the_image_are_settings()
    {
        var settings = Variable().Matches(File.ReadAllText(Repository.Path(Dockerfile))).ToDictionary(match => match.Groups[1].Value, match => match.Groups[2].Value);
        Assert.Equal(4, settings.Count);
        Assert.Equal(9464, SettingsReader.Load(configFile: null, new Hashtable(settings)).HttpPort);
    }

    [Fact]
    public void The_image_has_a_version_of_all_that_it_begins_with_and_ends_as_no_root()
    {
        var lines = File.ReadAllLines(Repository.Path(Dockerfile)).Where(line => !line.StartsWith('#')).ToList();
        var from = lines.Where(line => line.StartsWith("FROM ", StringComparison.Ordinal)).ToList();
        Assert.Equal(2, from.Count);
        Assert.All(from, line => Assert.Matches(@"^FROM [a-z0-9./-]+:(?!latest)\S+", line));
        Assert.Equal("USER distmigrate", lines.Last(line => line.StartsWith("USER ", StringComparison.Ordinal)));
        Assert.Contains(lines, line => line.StartsWith("HEALTHCHECK ", StringComparison.Ordinal));

        // An index without its packages, or packages without their index, is what a cached layer gives.
        Assert.Equal(lines.Count(line => line.Contains("apt-get update", StringComparison.Ordinal)), lines.Count(line => line.Contains("rm -rf /var/lib/apt/lists/*", StringComparison.Ordinal)));
        Assert.StartsWith("ENTRYPOINT [", lines[^1], StringComparison.Ordinal);
    }

    [Fact]
    public void Every_silo_of_the_composition_has_settings_that_can_be_used_and_is_scraped()
    {
        var services = (Dictionary<object, object>)Composition()["services"];
        var silos = services.Where(service => ((string)service.Key).StartsWith("silo-", StringComparison.Ordinal)).ToList();
        Assert.Equal(3, silos.Count);
        var targets = File.ReadAllText(Repository.Path("deploy/compose/targets/silos.yml"));
        var hosts = new HashSet<string>();
        foreach (var (name, value) in silos)
        {
            var silo = (Dictionary<object, object>)value;
            var environment = ((Dictionary<object, object>)silo["environment"]).ToDictionary(pair => (string)pair.Key, pair => ((string)pair.Value).Replace("${", "", StringComparison.Ordinal));
            var settings = SettingsReader.Load(configFile: null, new Hashtable(environment));
            var network = (Dictionary<object, object>)((Dictionary<object, object>)silo["networks"])["cluster"];
            Assert.Equal((settings.Address, ClusterProvider.Redis), ((string)network["ipv4_address"], settings.Cluster.Provider));
            Assert.True(hosts.Add(settings.Host));
            Assert.Contains($"targets: [\"{name}:9464\"]\n  labels: {{ host: {settings.Host} }}", targets, StringComparison.Ordinal);
            Assert.Equal(["ALL"], (List<object>)silo["cap_drop"]);
            Assert.DoesNotContain("privileged", silo.Keys);
        }
    }

    [Fact]
    public void What_is_mounted_from_the_repository_is_there()
    {
        var text = File.ReadAllText(Repository.Path("deploy/compose/compose.yaml"));
        var sources = Mounted().Matches(text).Select(match => match.Groups[1].Value).ToList();
        Assert.Equal(5, sources.Count);
        Assert.All(sources, source => Assert.True(
            Path.Exists(Path.GetFullPath(source, Repository.Path("deploy/compose"))), $"deploy/compose/compose.yaml mounts {source}, which is not there."));
    }

    private static Dictionary<string, object> Composition()
    {
        using var file = new StreamReader(Repository.Path("deploy/compose/compose.yaml"));
        return new DeserializerBuilder().Build().Deserialize<Dictionary<string, object>>(new MergingParser(new Parser(file)));
    }

    [GeneratedRegex(@"\b(DISTMIGRATE_\w+)=(\S+)")]
    private static partial Regex Variable();

    [GeneratedRegex(@"^ +- (\.\S*?):/", RegexOptions.Multiline)]
    private static partial Regex Mounted();
}
