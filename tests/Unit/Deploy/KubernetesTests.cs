using System.Collections;
using System.Text.RegularExpressions;
using DistMigrate.Silo;
using k8s;
using k8s.Models;

namespace DistMigrate.Tests.Unit.Deploy;

/// <summary>The manifests, read strictly as the types of Kubernetes' API: a field that it does not have is an error.</summary>
public sealed partial class KubernetesTests : IDisposable
{
    private const string Folder = "deploy/kubernetes";
    private const string Unit = "deploy/systemd/distmigrate-silo.service";

    private readonly string _folder = Directory.CreateTempSubdirectory("dm-kubernetes-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void The_kustomization_has_every_manifest_but_the_operators()
    {
        var files = Directory.GetFiles(Repository.Path(Folder)).Select(Path.GetFileName).Except(["kustomization.yaml", "podmonitor.yaml"]);
        Assert.Equal(files.Order(), Resources().Order());
        Assert.All(Resources(), file => Assert.Single(KubernetesYaml.LoadAllFromString(Text(file), strict: true)));
        Assert.Equal(["V1ConfigMap", "V1DaemonSet", "V1Namespace", "V1PodDisruptionBudget", "V1Service", "V1ServiceAccount"],
            Resources().Select(file => KubernetesYaml.LoadAllFromString(Text(file), strict: true).Single().GetType().Name).Order());
    }

    [Fact]
    public void A_field_that_does_not_exist_is_found() => Assert.ThrowsAny<Exception>(() => KubernetesYaml.LoadAllFromString(
        Text("daemonset.yaml").Replace("livenessProbe:", "liveness:", StringComparison.Ordinal), strict: true));

    [Fact]
    public void The_silo_has_no_right_that_its_systemd_unit_has_not()
    {
        var security = Container().SecurityContext;
        Assert.Equal((false, false, true), (security.Privileged, security.AllowPrivilegeEscalation, security.ReadOnlyRootFilesystem));
        Assert.Equal(["ALL"], security.Capabilities.Drop);
        var unit = CapabilityLine().Match(File.ReadAllText(Repository.Path(Unit))).Groups[1].Value.Split(' ');
        Assert.Subset(unit.ToHashSet(), security.Capabilities.Add.Select(name => "CAP_" + name).ToHashSet());
        Assert.Contains("SYS_PTRACE", security.Capabilities.Add);
        Assert.True(Pod().HostPID);
        Assert.False(Pod().AutomountServiceAccountToken);
        Assert.False(Load<V1ServiceAccount>("serviceaccount.yaml").AutomountServiceAccountToken);
        Assert.True(Pod().TerminationGracePeriodSeconds >= int.Parse(StopLine().Match(File.ReadAllText(Repository.Path(Unit))).Groups[1].ValueSpan));
    }

    [Fact]
    public void Its_settings_can_be_used()
    {
        var file = Path.Combine(_folder, "silo.json");
        File.WriteAllText(file, Load<V1ConfigMap>("configmap.yaml").Data["silo.json"]);
        var node = new Dictionary<string, string> { ["spec.nodeName"] = "node-1.example", ["status.hostIP"] = "10.0.0.11" };
        var secrets = new Dictionary<string, string> { ["connection-string"] = "redis:6379", ["id"] = "secret" };
        var refused = Assert.Throws<SettingsException>(() => SettingsReader.Load(file, new Hashtable(Container().Env.ToDictionary(
            variable => variable.Name,
            variable => variable.ValueFrom.FieldRef is { } field ? node[field.FieldPath] : secrets[variable.ValueFrom.SecretKeyRef.Key]))));

        // The files for TLS come from a secret, and are not here; nothing else is to be said.
        Assert.Contains("/etc/distmigrate-tls/", Assert.Single(refused.Faults), StringComparison.Ordinal);
    }

    [Fact]
    public void What_belongs_together_has_the_same_names()
    {
        var set = Load<V1DaemonSet>("daemonset.yaml");
        var labels = set.Spec.Template.Metadata.Labels;
        Assert.Equal(labels, set.Spec.Selector.MatchLabels);
        Assert.Equal(labels, Load<V1PodDisruptionBudget>("poddisruptionbudget.yaml").Spec.Selector.MatchLabels);
        var service = Load<V1Service>("service.yaml").Spec;
        Assert.Equal(labels, service.Selector);
        Assert.Equal("None", service.ClusterIP);
        var ports = Container().Ports.ToDictionary(port => port.Name, port => port.ContainerPort);
        Assert.All(service.Ports, port => Assert.Equal(port.Port, ports[port.TargetPort.Value]));
        Assert.All(new[] { Container().LivenessProbe, Container().ReadinessProbe, Container().StartupProbe }, probe =>
        {
            Assert.Equal("/healthz", probe.HttpGet.Path);
            Assert.Contains(probe.HttpGet.Port.Value, ports.Keys);
        });
        Assert.Equal(Pod().Volumes.Select(volume => volume.Name).Order(), Container().VolumeMounts.Select(mount => mount.Name).Order());
        Assert.Equal(Load<V1ServiceAccount>("serviceaccount.yaml").Metadata.Name, Pod().ServiceAccountName);
        Assert.Contains(Load<V1ConfigMap>("configmap.yaml").Metadata.Name, Pod().Volumes.Select(volume => volume.ConfigMap?.Name));
        Assert.Equal(Load<V1Namespace>("namespace.yaml").Metadata.Name, NamespaceLine().Match(Text("kustomization.yaml")).Groups[1].Value);
    }

    private static V1PodSpec Pod() => Load<V1DaemonSet>("daemonset.yaml").Spec.Template.Spec;

    private static V1Container Container() => Assert.Single(Pod().Containers);

    private static T Load<T>(string file) => KubernetesYaml.Deserialize<T>(Text(file), strict: true);

    private static string Text(string file) => File.ReadAllText(Repository.Path($"{Folder}/{file}"));

    private static List<string> Resources() => [.. ResourceLine().Matches(Text("kustomization.yaml")).Select(match => match.Groups[1].Value)];

    [GeneratedRegex(@"^  - (\S+\.yaml)$", RegexOptions.Multiline)]
    private static partial Regex ResourceLine();

    [GeneratedRegex(@"^namespace: (\S+)$", RegexOptions.Multiline)]
    private static partial Regex NamespaceLine();

    [GeneratedRegex(@"^CapabilityBoundingSet=(.+)$", RegexOptions.Multiline)]
    private static partial Regex CapabilityLine();

    [GeneratedRegex(@"^TimeoutStopSec=(\d+)$", RegexOptions.Multiline)]
    private static partial Regex StopLine();
}
