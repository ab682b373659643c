using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Cluster;

/// <summary>Three hosts in three network namespaces, of which one is cut off.</summary>
public sealed class NetworkTests(ITestOutputHelper output)
{
    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.Namespaces | LabNeeds.SelfCheckGuest)]
    public async Task A_save_whose_host_was_cut_off_completes_when_the_network_is_back_and_its_silo_was_started_again()
    {
        await using var cluster = await ClusterUnderTest.StartAsync(network: true);
        await using var guest = await ClusterUnderTest.StartGuestAsync();
        var host = cluster.Hosts[1];
        var image = cluster.Image("a.img");
        var id = await cluster.SubmitSaveAsync(host.Name, guest, image, "1MiB/s");
        await cluster.WaitUntilCopyingAsync(id);
        await cluster.Network.CutAsync(host.Name);
        await cluster.WaitForHostsAsync("up", "down", "up");
        output.WriteLine($"cut off: {await cluster.StatusAsync(id)}, guest {await guest.Monitor.RunStateAsync()}");

        // Nobody can reach its silo, so that gives the guest its run state back by itself.
        await Wait.UntilAsync(async () => await guest.Monitor.RunStateAsync() == "running", "the guest runs on while its host is cut off", details: () => cluster.Log);
        await cluster.Network.HealAsync(host.Name);

        // Once it learns that it was told dead it ends, and systemd starts it again.
        Assert.NotEqual(0, await host.WaitForEndAsync());
        output.WriteLine($"ended: guest {await guest.Monitor.RunStateAsync()}");
        host.Start();
        await cluster.CompleteAsync(id, image);
        await guest.ContinueAsync();
        await guest.WaitForStepsAsync();
    }
}
