using System.Diagnostics;
using System.Text.Json.Nodes;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>What fails, or is cut off by a dying silo, at the guest itself: what was asked for after publication, and the capture of its device state.</summary>
public sealed class TreatmentFaultTests(FaultBench bench) : IClassFixture<FaultBench>, IAsyncLifetime
{
    private const int NeedsAttention = 12;

    // The claim is the only second name that such a save makes.
    private const string ClaimCall = "link,linkat";

    public Task InitializeAsync() => bench.ResetAsync();

    public Task DisposeAsync() => Task.CompletedTask;

    [RequiresFaultsTheory(FaultNeeds.Strace)]
    [InlineData(true)]
    [InlineData(false)]
    public async Task When_the_claim_to_run_on_fails_the_guest_stays_paused_until_the_operator_decides(bool resumes)
    {
        var guest = await bench.GuestAsync();
        var image = bench.Product.Image("claimed.img");
        (await bench.Product.RunAsync("status")).ExpectOk();
        string id;
        await using (await Strace.AttachAsync(bench.Product.SiloPid, [], ClaimCall, $"{ClaimCall}:error=EIO:when=1"))
        {
            id = await bench.SubmitAsync(guest, image, "1GiB/s", options: ["--then", "run"]);
            var outcome = (await bench.Product.RunAsync("watch", id)).ExpectExit(NeedsAttention);
            Assert.Contains($"distmigrate resume {id}", outcome.ErrorOutput, StringComparison.Ordinal);
        }

        Assert.Equal("needs-attention", (await bench.StatusAsync(id)).Phase);
        Assert.Equal("postmigrate", await guest.Monitor.RunStateAsync());
        (await bench.Product.RunAsync("verify", image, "--deep")).ExpectOk();

        // A decision that is not made survives the silo.
        await bench.Product.KillSiloAsync();
        Assert.Equal("needs-attention", (await bench.StatusAsync(id)).Phase);
        Assert.Equal("postmigrate", await guest.Monitor.RunStateAsync());

        (await bench.Product.RunAsync(resumes ? "resume" : "cancel", id)).ExpectOk();
        Assert.Equal("completed", (await bench.StatusAsync(id)).Phase);
        Assert.Equal(resumes ? 1 : 0, Directory.EnumerateFiles(bench.Images, "claimed.img.claim.1").Count());
        if (resumes)
            await Expect.RunsAtOnceAsync(guest);
        else
            Assert.Equal("postmigrate", await guest.Monitor.RunStateAsync());
        await bench.ExpectWholeAsync(image);
        await bench.RemoveAsync(image);
    }

    [RequiresFaultsFact(FaultNeeds.Strace)]
    public async Task A_silo_that_dies_between_the_publication_and_the_claim_is_followed_by_one_that_lets_the_guest_run_on()
    {
        var guest = await bench.GuestAsync();
        var image = bench.Product.Image("killed.img");
        (await bench.Product.RunAsync("status")).ExpectOk();
        string id;
        await using (await Strace.AttachAsync(bench.Product.SiloPid, [], ClaimCall, $"{ClaimCall}:signal=KILL"))
        {
            var silo = bench.Product.SiloPid;
            id = await bench.SubmitAsync(guest, image, "1GiB/s", options: ["--then", "run"]);
            await Wait.UntilAsync(() => !ProcessState.IsAlive(silo), "the silo is killed", details: () => bench.Product.SiloLog);
        }

        Assert.True(File.Exists(image), "The silo died too early.");
        Assert.Equal("postmigrate", await guest.Monitor.RunStateAsync());
        (await bench.Product.RunAsync("watch", id)).ExpectOk();
        await Expect.RunsAtOnceAsync(guest);
        Assert.True(File.Exists(image + ".claim.1"));
        await bench.ExpectWholeAsync(image);
        await bench.RemoveAsync(image);
    }

    [RequiresQemuFact]
    public async Task A_silo_that_dies_while_it_takes_the_device_state_is_followed_by_one_that_puts_QEMUs_settings_back()
    {
        var guest = await bench.GuestAsync();
        await guest.Monitor.ExecuteAsync("migrate-set-parameters", new JsonObject { ["max-bandwidth"] = 123456789, ["downtime-limit"] = 321 });
        await guest.Monitor.SetCapabilitiesAsync(("auto-converge", true));
        var before = await SettingsAsync(guest);
        Assert.Contains("123456789", before, StringComparison.Ordinal);
        (await bench.Product.RunAsync("status")).ExpectOk();

        for (var number = 0; ; number++)
        {
            Assert.True(number < 20, "The silo was always faster.");
            var image = bench.Product.Image($"settings{number}.img");
            using var silo = Process.GetProcessById(bench.Product.SiloPid);
            var submitted = bench.SubmitAsync(guest, image, "1GiB/s");
            while (!await IgnoresSharedAsync(guest) && !File.Exists(image))
            {
                // As fast as QEMU answers: the capture takes some ten milliseconds.
            }

            silo.Kill();
            await silo.WaitForExitAsync();
            var isDisturbed = before != await SettingsAsync(guest);
            (await bench.Product.RunAsync("status")).ExpectOk();
            var id = await submitted;
            if (isDisturbed)
                Assert.Equal(before, await SettingsOfIdleAsync(guest));
            await bench.CompleteAsync(id, image);
            Assert.Equal(before, await SettingsAsync(guest));
            if (isDisturbed)
                break;
        }
    }

    private static async Task<bool> IgnoresSharedAsync(QemuProcess guest) =>
        (await guest.Monitor.ExecuteAsync("query-migrate-capabilities")).EnumerateArray()
            .Any(capability => capability.GetProperty("capability").GetString() == "x-ignore-shared" && capability.GetProperty("state").GetBoolean());

    private static async Task<string> SettingsAsync(QemuProcess guest) =>
        $"{await guest.Monitor.ExecuteAsync("query-migrate-capabilities")}\n{await guest.Monitor.ExecuteAsync("query-migrate-parameters")}";

    /// <summary>The settings between two captures: the save that goes on changes them again for a moment.</summary>
    private static async Task<string> SettingsOfIdleAsync(QemuProcess guest)
    {
        var settings = "";
        await Wait.UntilAsync(
            async () =>
            {
                settings = await SettingsAsync(guest);
                return !await IgnoresSharedAsync(guest);
            },
            "nobody captures the guest's device state");
        return settings;
    }
}
