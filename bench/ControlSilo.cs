using System.Globalization;
using DistMigrate.Guests;
using DistMigrate.Silo;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;
using HostOptions = DistMigrate.Grains.HostOptions;

namespace DistMigrate.Bench;

/// <summary>
/// The product's silo in a process of the bench, with synthetic guests in the place of QEMU. It answers each line on its standard input
/// with its memory, and ends at the end of that.
/// </summary>
internal static class ControlSilo
{
    /// <summary>What the bench starts itself with for it, before the state folder and the number of places.</summary>
    public const string Command = "control-silo";

    /// <summary>How the answer begins; two numbers follow, private and managed bytes.</summary>
    public const string Answer = "memory ";

    public static async Task RunAsync(string stateFolder, int places)
    {
        using var locks = SiloLock.TryTake(stateFolder) ?? throw new InvalidOperationException($"A silo runs with {stateFolder}.");
        await using var silo = SiloApplication.Build(new SiloArguments(stateFolder, Background: false, ConfigFile: null), services =>
        {
            services.AddSingleton<GuestConnector>(SyntheticGuest.ConnectAsync);

            // Each guest leaves a lock file, which is to go with the bench.
            var host = services.Select(service => service.ImplementationInstance).OfType<IOptions<HostOptions>>().Single().Value;
            host.RuntimeFolder = stateFolder;
            host.MaxOutgoing = places;
        });
        new Thread(AnswerAll) { IsBackground = true }.Start();
        await silo.RunAsync(locks);
    }

    private static void AnswerAll()
    {
        while (Console.ReadLine() is not null)
        {
            for (var i = 0; i < 3; i++)
            {
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
                GC.WaitForPendingFinalizers();
            }

            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Answer}{PrivateBytes()} {GC.GetTotalMemory(forceFullCollection: true)}"));
        }

        Environment.Exit(1);
    }

    private static long PrivateBytes() => 1024 * File.ReadLines("/proc/self/smaps_rollup")
        .Where(line => line.StartsWith("Private_Clean:", StringComparison.Ordinal) || line.StartsWith("Private_Dirty:", StringComparison.Ordinal))
        .Sum(line => long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture));
}
