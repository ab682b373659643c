using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Two saves that want the same guest or the same image: the second is refused, and the first goes on.</summary>
public sealed class TwoAtOnceTests(FaultBench bench) : IClassFixture<FaultBench>
{
    private const int Busy = 7;

    [RequiresQemuFact]
    public async Task A_second_save_of_a_guest_and_one_into_the_same_image_are_refused_and_name_the_first()
    {
        var guest = await bench.GuestAsync();
        await using var other = await QemuProcess.StartAsync(FaultBench.Recipe);
        await other.WaitUntilReadyAsync();
        var image = bench.Product.Image("first.img");
        var before = FolderState.Of(bench.Images);
        await using var save = await bench.StartSlowSaveAsync(guest, image);

        Expect.Failure(await bench.SaveAsync(guest, bench.Product.Image("second.img")), Busy, save.Id, FaultBench.GuestName);
        Expect.Failure(await bench.Product.RunAsync("save", "other", image, "--qmp", other.QmpSocket), Busy, save.Id, image);
        Expect.Failure(await bench.Product.RunAsync("save", "other", image, "--qmp", other.QmpSocket, "--force"), Busy, save.Id, image);
        await Expect.RunsAtOnceAsync(other);
        Assert.Equal("active", (await bench.StatusAsync(save.Id)).Phase);

        await save.CancelAsync();
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
    }

    [RequiresQemuFact]
    public async Task A_second_save_of_the_same_QEMU_under_another_name_is_refused_by_the_guests_lock()
    {
        var guest = await bench.GuestAsync();
        var before = FolderState.Of(bench.Images);
        await using var save = await bench.StartSlowSaveAsync(guest, bench.Product.Image("first.img"));

        var second = await bench.Product.RunAsync("save", "alias", bench.Product.Image("second.img"), "--qmp", guest.QmpSocket);
        Expect.Failure(second, Busy, "Another migration holds guest");
        Assert.Equal("active", (await bench.StatusAsync(save.Id)).Phase);

        await save.CancelAsync();
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
    }

    [RequiresQemuFact]
    public async Task Another_silo_of_the_machine_is_kept_off_the_guest_by_either_monitor_and_off_the_image()
    {
        var extraSocket = bench.Product.Image("qmp");
        await using var stranger = new ProductUnderTest();
        stranger.Settings["DISTMIGRATE_Storage__Roots__0"] = bench.Images;
        await using var guest = await QemuProcess.StartAsync(FaultBench.Recipe with { ExtraArguments = ["-qmp", $"unix:{extraSocket},server=on,wait=off"] });
        await guest.WaitUntilReadyAsync();
        await using var other = await QemuProcess.StartAsync(FaultBench.Recipe);
        await other.WaitUntilReadyAsync();
        var image = bench.Product.Image("first.img");
        var before = FolderState.Of(bench.Images);
        await using var save = await bench.StartSlowSaveAsync(guest, image);

        foreach (var socket in new[] { guest.QmpSocket, extraSocket })
        {
            var second = await stranger.RunAsync("save", "alias", bench.Product.Image("second.img"), "--qmp", socket);
            Expect.Failure(second, Busy, "Another migration holds guest");
        }

        var intoTheSame = await stranger.RunAsync("save", "other", image, "--qmp", other.QmpSocket);
        Expect.Failure(intoTheSame, Busy, save.Id, FaultBench.GuestName, "is writing", image);
        await Expect.RunsAtOnceAsync(other);
        Assert.Equal("paused", await guest.Monitor.RunStateAsync());
        Assert.Equal("active", (await bench.StatusAsync(save.Id)).Phase);

        await save.CancelAsync();
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
    }
}
