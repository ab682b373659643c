using System.Reflection;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>Whether a silo answers, and is of this command's version. None is started for that.</summary>
internal static class SiloCheck
{
    public static async Task<Finding> LookAsync(HostScene scene, CancellationToken cancellation)
    {
        try
        {
            var settings = scene.Invocation.LoadSettings();
            if (!settings.IsCluster)
            {
                var silo = SiloFile.TryRead(settings.StateFolder);
                if (silo is null || !await silo.IsAliveAsync(cancellation))
                    return NoneRuns(settings, scene.Invocation.Surroundings);
            }

            await using var connection = await SiloConnection.OpenAsync(
                settings, scene.Invocation.Surroundings, new Dictionary<string, string>(), _ => { }, cancellation);
            var host = connection.LocalHost ?? settings.Host ?? Environment.MachineName;
            var hosts = await connection.CallAsync(grains => grains.GetGrain<IClusterGrain>(0).GetHosts(), cancellation);
            if (!hosts.Any(presence => presence.IsUp && presence.Host == host))
                return Finding.Warning(
                    $"The cluster answers, but no silo of host {host} is in it; there are {string.Join(", ", hosts.Where(p => p.IsUp).Select(p => p.Host))}.",
                    "guests of this host can be neither saved nor moved", "start distmigrate-silo here; if its Host is another name, set DISTMIGRATE_HOST to that");
            var status = await connection.CallAsync(grains => grains.GetGrain<IHostGrain>(host).GetStatus(), cancellation);
            scene.StorageRoots = status.StorageRoots;
            return Judge(host, status.Version, OwnVersion());
        }
        catch (MigrationException e)
        {
            return Finding.Failed(e.Message, "silos do what the commands ask for", "look into its log");
        }
        catch (CommandException e)
        {
            return Finding.Failed(e.Message, "silos do what the commands ask for", e.Hint ?? "start distmigrate-silo, and look into its log");
        }
    }

    internal static Finding Judge(string host, string version, string own) => version == own
        ? Finding.Ok($"The silo of host {host} answers, and has this command's version ({Short(own)}).")
        : Finding.Warning(
            $"The silo of host {host} has version {Short(version)}, and this command {Short(own)}.", "a command may ask for what an older silo does not know",
            "restart the silo after an upgrade; what it runs goes on");

    private static Finding NoneRuns(ClientSettings settings, Surroundings surroundings)
    {
        // It throws where there is no program that could be started.
        SiloProgram.Find(settings, surroundings.ProgramFolder);
        return Finding.Ok("None runs, and no cluster is configured: the first command that needs one starts it.");
    }

    private static string OwnVersion() => typeof(SiloCheck).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion;

    /// <summary>A build's version ends in its whole commit.</summary>
    private static string Short(string version) => Printable.Of(version.IndexOf('+') is >= 0 and var plus ? version[..Math.Min(version.Length, plus + 9)] : version);
}
