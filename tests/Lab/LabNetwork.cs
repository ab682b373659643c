using System.Diagnostics;
using System.Globalization;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// Places that reach each other over a switch, and nothing else: network namespaces, joined by veth pairs to a bridge in one of its own.
/// Its addresses mean something inside it only, so any number of networks may be on a machine at once. Who owns the belongings removes it.
/// </summary>
public sealed class LabNetwork
{
    private const string Switch = "br0";
    private const string Link = "eth0";

    private static readonly Lazy<string?> Fault = new(FindFault);

    private readonly string _switch;
    private readonly Dictionary<string, NetworkPlace> _places = [];

    private LabNetwork(string @switch) => _switch = @switch;

    /// <summary>What this machine lacks for it, in one sentence; null when everything is there.</summary>
    public static string? Missing => Fault.Value;

    /// <summary>A place by its name.</summary>
    public NetworkPlace this[string place] => _places[place];

    /// <summary>Makes one.</summary>
    /// <param name="belongings">Where it is written down.</param>
    /// <param name="places">Their names, of at most 15 characters.</param>
    /// <exception cref="InvalidOperationException">The machine cannot; the message says why.</exception>
    public static async Task<LabNetwork> MakeAsync(Belongings belongings, params IReadOnlyList<string> places)
    {
        ArgumentNullException.ThrowIfNull(belongings);
        if (Missing is { } missing)
            throw new InvalidOperationException(missing);
        var prefix = $"{Path.GetFileName(belongings.Folder)}-{Environment.ProcessId.ToString(CultureInfo.InvariantCulture)}";
        var network = new LabNetwork($"{prefix}-switch");
        await belongings.MakeNamespaceAsync(network._switch);
        await IpAsync(network._switch, "link", "add", Switch, "type", "bridge");
        await IpAsync(network._switch, "link", "set", Switch, "up");
        for (var i = 0; i < places.Count; i++)
        {
            var name = $"{prefix}-{places[i]}";
            var address = string.Create(CultureInfo.InvariantCulture, $"10.98.0.{i + 1}");
            var path = await belongings.MakeNamespaceAsync(name);
            await IpAsync(network._switch, "link", "add", places[i], "type", "veth", "peer", "name", Link, "netns", name);
            await IpAsync(network._switch, "link", "set", places[i], "master", Switch, "up");
            await IpAsync(name, "addr", "add", $"{address}/24", "dev", Link);
            await IpAsync(name, "link", "set", "lo", "up");
            await IpAsync(name, "link", "set", Link, "up");
            network._places[places[i]] = new NetworkPlace(address, path);
        }

        return network;
    }

    /// <summary>Cuts a place off: what it sends and what is sent to it is lost, and its link looks well to it.</summary>
    public Task CutAsync(string place) => IpAsync(_switch, "link", "set", place, "nomaster");

    /// <summary>Ends <see cref="CutAsync"/>.</summary>
    public Task HealAsync(string place) => IpAsync(_switch, "link", "set", place, "master", Switch);

    private static Task<string> IpAsync(string network, params IEnumerable<string> words) => StorageProgram.RunAsync("ip", ["-n", network, .. words]);

    /// <summary>Root of a container may not make them; only trying tells.</summary>
    private static string? FindFault()
    {
        if (!Environment.IsPrivilegedProcess)
            return "Making network namespaces takes root.";
        if (Array.Find(["ip", "nsenter", "unshare"], program => StorageProgram.Find(program) is null) is { } program)
            return $"{program} is not installed: run eng/require test.";
        var name = string.Create(CultureInfo.InvariantCulture, $"dm-try-{Environment.ProcessId}");
        try
        {
            StorageProgram.Run("ip", "netns", "add", name);
            try
            {
                StorageProgram.Run("ip", "-n", name, "link", "add", Switch, "type", "bridge");
            }
            finally
            {
                StorageProgram.Run("ip", "netns", "del", name);
            }

            return null;
        }
        catch (InvalidOperationException exception)
        {
            return $"This machine does not let root make a network: {exception.Message}";
        }
    }
}

/// <summary>A network namespace with an address.</summary>
/// <param name="Address">Its IP address.</param>
/// <param name="Path">Its path in the file system.</param>
public sealed record NetworkPlace(string Address, string Path)
{
    /// <summary>Lets a program that is about to be started run there; its pid is that of the program itself.</summary>
    public void Take(ProcessStartInfo start) => Namespaces.Enter(start, $"--net={Path}");
}
