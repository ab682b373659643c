using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Saves of guests that are not there, are something else, cannot be saved, or end half way.</summary>
public sealed class GuestFaultTests(FaultBench bench) : IClassFixture<FaultBench>
{
    private const int Failed = 1;
    private const int Refused = 3;
    private const int NotFound = 6;

    /// <summary>How soon a save must notice that its guest is gone; to copy all of it would take minutes.</summary>
    private static readonly TimeSpan NoticeLimit = TimeSpan.FromSeconds(30);

    public static TheoryData<string, string?, bool, int, string> Impostors => new()
    {
        { "says garbage", "SSH-2.0-OpenSSH_10.0\r\n", false, Refused, "does not speak QMP" },
        { "says JSON that is no greeting", "{\"hello\": [1, 2, 3]}\r\n", false, Refused, "does not greet as a QEMU monitor" },
        { "greets without a version", "{\"QMP\": {\"version\": {}, \"capabilities\": []}}\r\n", false, Refused, "does not greet as a QEMU monitor" },
        { "greets for ever", "{\"QMP\": \"" + new string('x', 17 << 20), false, Refused, "does not speak QMP" },
        { "says nothing", null, false, Refused, "one client at a time" },
        { "closes at once", null, true, Refused, "without a QMP greeting" },
        { "greets and closes", "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 10, \"minor\": 0, \"micro\": 2}}, \"capabilities\": []}}\r\n", true, Failed, "QMP connection" },
    };

    [RequiresQemuFact]
    public async Task A_save_by_a_socket_that_does_not_exist_is_refused_and_names_the_option_to_check()
    {
        var before = FolderState.Of(bench.Images);
        var socket = bench.Product.Image("no-such-socket");
        var result = await bench.Product.RunAsync("save", "nobody", bench.Product.Image("a.img"), "--qmp", socket);
        await bench.ExpectHarmlessAsync(result, Refused, before, socket, "does not exist", "-qmp unix:");
    }

    [RequiresQemuTheory]
    [MemberData(nameof(Impostors))]
    public async Task A_save_by_a_socket_of_which_the_listener_is_no_monitor_is_refused(string what, string? greeting, bool closes, int exitCode, string words)
    {
        var before = FolderState.Of(bench.Images);
        await using var fake = new FakeMonitor(greeting, closes);
        var result = await bench.Product.RunAsync("save", "impostor", bench.Product.Image("a.img"), "--qmp", fake.SocketPath);
        Assert.True(result.ExitCode == exitCode, $"A listener that {what}: {result}");
        await bench.ExpectHarmlessAsync(result, exitCode, before, fake.SocketPath, words);
    }

    [RequiresQemuFact]
    public async Task A_guest_that_the_host_does_not_know_is_not_found_and_the_message_names_both_remedies()
    {
        var before = FolderState.Of(bench.Images);
        var result = await bench.Product.RunAsync("save", "stranger", bench.Product.Image("a.img"));
        await bench.ExpectHarmlessAsync(result, NotFound, before, "knows no guest stranger", "--qmp", "configuration");
    }

    [RequiresQemuFact]
    public async Task A_guest_with_a_device_that_QEMU_cannot_migrate_is_refused_with_QEMUs_own_words()
    {
        var disk = bench.Product.Image("disk.raw");
        await File.WriteAllBytesAsync(disk, new byte[1 << 20]);
        await using var guest = await QemuProcess.StartAsync(FaultBench.Recipe with
        {
            ExtraArguments = ["-drive", $"if=none,id=nvme,format=raw,file={disk}", "-device", "nvme,serial=1,drive=nvme"],
        });
        await guest.WaitUntilReadyAsync();
        var blocker = (await guest.Monitor.ExecuteAsync("query-migrate")).GetProperty("blocked-reasons")[0].GetString()!;
        Assert.Contains("nvme", blocker, StringComparison.Ordinal);

        var before = FolderState.Of(bench.Images);
        var result = await bench.SaveAsync(guest, bench.Product.Image("a.img"));
        Expect.Failure(result, Refused, blocker, "not touched");
        await Expect.RunsAtOnceAsync(guest);
        before.ExpectUnchanged();
        File.Delete(disk);
    }

    [RequiresQemuFact]
    public async Task A_QEMU_that_waits_for_an_image_is_refused_and_can_still_load_one()
    {
        await using var target = await QemuProcess.StartAsync(FaultBench.Recipe.AsTarget());
        var before = FolderState.Of(bench.Images);
        var result = await bench.SaveAsync(target, bench.Product.Image("a.img"));
        Expect.Failure(result, Refused, "waits for an incoming migration");
        Assert.Equal("inmigrate", await target.Monitor.RunStateAsync());
        before.ExpectUnchanged();

        var image = bench.Product.Image("good.img");
        (await bench.SaveAsync(image)).ExpectOk();
        await (await bench.GuestAsync()).ContinueAsync();
        Assert.True((await StockLoad.LoadAsync(target, image, FileMigration.Plain)).Completed, target.Describe());
        await target.ContinueAsync();
        await target.WaitForStepsAsync(2);
    }

    [RequiresQemuFact]
    public async Task A_guest_that_was_paused_is_still_paused_after_a_save_that_was_refused()
    {
        var guest = await bench.GuestAsync();
        var before = FolderState.Of(bench.Images);
        await guest.PauseAsync();
        var result = await bench.SaveAsync(guest, bench.Product.Image("no-such-folder/a.img"));
        Expect.Failure(result, NotFound, "does not exist");
        Assert.Equal("paused", await guest.Monitor.RunStateAsync());
        before.ExpectUnchanged();
        await guest.ContinueAsync();
        await guest.WaitForStepsAsync(2);
    }

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Private)]
    public async Task A_guest_that_is_killed_half_way_ends_its_save_soon_and_leaves_nothing(MemoryKind memory)
    {
        await using var guest = await QemuProcess.StartAsync(FaultBench.Recipe with { Memory = memory });
        await guest.WaitUntilReadyAsync();
        var before = FolderState.Of(bench.Images);
        await using var save = await bench.StartSlowSaveAsync(guest, bench.Product.Image("a.img"));
        await guest.KillAsync();
        Expect.Failure(await save.WatchAsync(NoticeLimit), Failed, "QEMU");
        var (phase, reason, _) = await bench.StatusAsync(save.Id);
        Assert.Equal(("failed", "guest-exited"), (phase, reason));
        before.ExpectUnchanged();
        await Expect.RunsAtOnceAsync(await bench.GuestAsync());
    }
}
