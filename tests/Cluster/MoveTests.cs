using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>A guest goes from one host to another, or stays where it is.</summary>
public sealed class MoveTests
{
    [RequiresQemuTheory(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_guest_runs_on_the_other_host_and_its_QEMU_here_is_gone(MemoryKind memory)
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", memory);
        var before = source.Serial.Text;
        var moved = (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--output", "json")).ExpectOk().Json;
        Assert.Equal(("completed", "host-a", "host-b"), (Text(moved, "phase"), Text(moved, "host"), Text(moved, "target")));
        Assert.Equal(0, await source.WaitForExitAsync());

        var target = cluster.Hosts[1].Launched("vm1");
        await target.WaitForStepsAsync();
        Assert.DoesNotContain("START", target.Serial.Text, StringComparison.Ordinal);
        Assert.StartsWith(before, source.Serial.Text, StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(cluster.Images));

        // It is a guest of that host now, and can go on from there.
        var hosts = (await cluster.RunAsync("hosts", "--output", "json")).ExpectOk().Json.GetProperty("hosts").EnumerateArray().ToList();
        Assert.Equal(["vm1"], hosts[1].GetProperty("guests").EnumerateArray().Select(guest => guest.GetString()));
        (await cluster.RunAsync("move", "vm1", "--to", "host-c")).ExpectOk();
        var next = cluster.Hosts[2].Launched("vm1");
        await next.WaitForStepsAsync();
        Assert.False(target.IsAlive);
        (await cluster.RunAsync("move", "vm1", "--to", "host-a", "--from", "host-c")).ExpectOk();
        await cluster.Hosts[0].Launched("vm1").WaitForStepsAsync();
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_guest_goes_into_a_QEMU_that_waits_and_does_not_run_there_before_the_claim_is_taken()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.Private);

        // Without -S, and private memory: the state says "running", so that QEMU would start the guest as soon as it is loaded.
        await using var target = await QemuProcess.StartAsync(
            (source.Recipe with { ExtraArguments = [], BootFolder = source.Folder }).AsTarget(startPaused: false));
        var image = cluster.Image("kept.img");
        (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--target-qmp", target.QmpSocket, "--image", image, "--keep-image")).ExpectOk();
        await target.WaitForStepsAsync();
        Assert.Equal(0, await source.WaitForExitAsync());
        (await cluster.RunAsync("verify", image, "--deep")).ExpectOk();
        var claim = JsonDocument.Parse(await File.ReadAllBytesAsync(image + ".claim.1")).RootElement;
        Assert.Equal(target.Pid, claim.GetProperty("holder").GetProperty("pid").GetInt32());

        // It sends none for a "cont" when it runs already, so one alone says little of when it began to.
        var resumed = Assert.Single(target.Monitor.Events, sent => Text(sent, "event") == "RESUME").GetProperty("timestamp");
        var began = DateTimeOffset.FromUnixTimeSeconds(resumed.GetProperty("seconds").GetInt64()).AddMicroseconds(resumed.GetProperty("microseconds").GetInt64());
        Assert.True(began >= File.GetLastWriteTimeUtc(image + ".claim.1"), $"It ran from {began:O} on, and the claim is of {File.GetLastWriteTimeUtc(image + ".claim.1"):O}.");
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_guest_that_was_paused_is_paused_on_the_other_host()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.SharedFile);
        await source.PauseAsync();
        var moved = (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--output", "json")).ExpectOk().Json;
        Assert.Equal("paused", Text(moved, "guest-state"));
        var target = cluster.Hosts[1].Launched("vm1");
        await target.ExecuteAsync("cont");
        await target.WaitForStepsAsync();
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task What_can_fail_fails_before_the_guest_is_stopped()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.SharedFile);
        await using var small = await QemuProcess.StartAsync((source.Recipe with { MiB = source.Recipe.MiB * 2, ExtraArguments = [] }).AsTarget());
        await RefusedAsync(["move", "vm1", "--to", "host-b", "--target-qmp", small.QmpSocket], "does not fit");
        await RefusedAsync(["move", "vm1", "--to", "host-a", "--from", "host-a"], "already");
        await RefusedAsync(["move", "vm1", "--to", "host-x"], "host host-x is not in the cluster");
        await RefusedAsync(["move", "vm9", "--to", "host-b"], "no host that is up knows a guest vm9");
        await RefusedAsync(["move", "vm1", "--to", "host-b", "--target-qmp", "/nowhere/qmp"], "/nowhere/qmp");
        await using (var elsewhere = cluster.Add("host-d", new() { ["DISTMIGRATE_Storage__Roots__0"] = "/nowhere" }))
        {
            elsewhere.Start();
            await cluster.WaitForHostsAsync("up", "up", "up", "up");
            await RefusedAsync(["move", "vm1", "--to", "host-d"], "not below a storage root");
        }

        await cluster.Hosts[1].KillAsync();
        await RefusedAsync(["move", "vm1", "--to", "host-b"], "host-b");
        Assert.Equal(0, CountEvents(source, "STOP"));
        await source.WaitForStepsAsync();
        Assert.Empty(Directory.GetFiles(cluster.Images));

        async Task RefusedAsync(string[] arguments, string what)
        {
            var result = await cluster.RunAsync(arguments);
            Assert.NotEqual(0, result.ExitCode);
            Assert.Contains(what, result.ErrorOutput, StringComparison.Ordinal);
        }
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_guest_whose_target_cannot_load_it_goes_on_where_it_was()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.SharedFile);
        var id = (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--mode", "stopped", "--bwlimit", "1MiB/s", "--detach")).ExpectOk().Output.Trim();
        await cluster.WaitUntilCopyingAsync(id);
        await cluster.Hosts[1].Launched("vm1").KillAsync();
        var failed = await cluster.RunAsync("watch", id);
        Assert.Equal(1, failed.ExitCode);
        await source.WaitForStepsAsync();
        Assert.Equal("failed", Text(await cluster.StatusAsync(id), "phase"));
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_move_is_cancelled_and_the_guest_goes_on_where_it_was()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.SharedFile);
        var id = (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--mode", "stopped", "--bwlimit", "1MiB/s", "--detach")).ExpectOk().Output.Trim();
        await cluster.WaitUntilCopyingAsync(id);
        (await cluster.RunAsync("cancel", id)).ExpectOk();
        await source.WaitForStepsAsync();
        Assert.False(cluster.Hosts[1].Launched("vm1").IsAlive);
        Assert.Empty(Directory.GetFiles(cluster.Images));
    }

    [RequiresQemuTheory(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    [InlineData(MemoryKind.SharedFile, "stream")]
    [InlineData(MemoryKind.Private, "compare")]
    public async Task A_guest_runs_while_it_is_moved_and_stands_still_only_for_what_its_waiting_QEMU_does_not_have_yet(MemoryKind memory, string mode)
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", memory, 96, new SelfCheckBoot { AtFullSpeed = true, Seed = 3, LowerMiB = 1, UpperMiB = 8 });
        var id = (await cluster.RunAsync(
            "move", "vm1", "--to", "host-b", "--mode", mode, "--max-downtime", "100ms", "--policy", "minimal-downtime", "--bwlimit", "4MiB/s", "--detach")).ExpectOk().Output.Trim();
        await cluster.WaitUntilCopyingAsync(id);
        await source.WaitForStepsAsync(3);
        (await cluster.RunAsync("complete", id)).ExpectOk();
        Assert.Equal(0, await source.WaitForExitAsync());
        var moved = await cluster.StatusAsync(id);
        Assert.Equal("completed", Text(moved, "phase"));
        var parts = moved.GetProperty("downtime-parts").EnumerateArray().Select(part => Text(part, "name")).ToList();
        Assert.Equal(["write", "publish", "preload", "load", "proof", "run"], parts.SkipWhile(part => part != "write"));
        await cluster.Hosts[1].Launched("vm1").WaitForStepsAsync();
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest | LabNeeds.Kvm)]
    public async Task A_guest_with_KVM_moves_and_nothing_is_compared()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", boot: new SelfCheckBoot { AtFullSpeed = true, UpperMiB = 12 }, kvm: true);
        var moved = (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--max-downtime", "2s", "--output", "json")).ExpectOk().Json;
        Assert.Equal(0, await source.WaitForExitAsync());
        Assert.DoesNotContain("compare", moved.GetProperty("downtime-parts").EnumerateArray().Select(part => Text(part, "name")));
        await cluster.Hosts[1].Launched("vm1").WaitForStepsAsync();
    }

    /// <summary>What nobody remembers but the files of its hosts must not be waited for: it would keep its places.</summary>
    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_move_whose_end_Redis_has_lost_ends_again_though_its_guest_is_gone_from_both_hosts()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.SharedFile);
        var image = cluster.Image("vm1.img");
        var id = (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--mode", "stopped", "--image", image, "--detach")).ExpectOk().Output.Trim();
        await Wait.UntilAsync(() => File.Exists(image + ".claim.1"), "somebody may run the guest");
        cluster.Redis.Remember();
        await cluster.WaitAsync(id, status => Text(status, "phase") == "completed", "it is completed");
        await cluster.Hosts[1].Launched("vm1").KillAsync();

        await cluster.KillAllAsync();
        await cluster.Redis.KillAsync();
        cluster.Redis.LoseWhatCameLater();
        await cluster.Redis.StartAgainAsync();
        await cluster.StartAllAsync();
        var last = "";
        await Wait.UntilAsync(
            async () => (last = Text(await cluster.StatusAsync(id), "phase")!) is "completed" or "failed", "it has ended again", TimeSpan.FromSeconds(60), () => $"{last}\n{cluster.Log}");
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_live_move_is_cancelled_and_neither_a_QEMU_nor_a_file_is_left()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.SharedFile);
        var id = (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--mode", "stream", "--bwlimit", "1MiB/s", "--detach")).ExpectOk().Output.Trim();
        await cluster.WaitUntilCopyingAsync(id);
        Assert.Equal("running", await source.Monitor.RunStateAsync());
        (await cluster.RunAsync("cancel", id)).ExpectOk();
        await source.WaitForStepsAsync();
        Assert.False(cluster.Hosts[1].Launched("vm1").IsAlive);
        Assert.Empty(Directory.GetFiles(cluster.Images));
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_plan_tells_what_is_to_be_expected_and_changes_nothing()
    {
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.SharedFile);
        var move = (await cluster.RunAsync("plan", "vm1", "--to", "host-b", "--output", "json")).ExpectOk().Json;
        Assert.Equal(("plan", "completed"), (Text(move, "kind"), Text(move, "phase")));
        var plan = move.GetProperty("plan");
        Assert.Equal("stream", Text(plan, "mode"));
        Assert.True(plan.GetProperty("is-fillable").GetBoolean());
        Assert.InRange(plan.GetProperty("used-bytes").GetInt64(), 1, plan.GetProperty("ram-bytes").GetInt64());
        Assert.InRange(plan.GetProperty("expected-downtime").GetDouble(), plan.GetProperty("expected-load").GetDouble(), 60);
        Assert.Equal(0.3, plan.GetProperty("allowed-downtime").GetDouble());

        var image = Path.Combine(cluster.Images, "planned.img");
        var save = (await cluster.RunAsync("plan", "vm1", image, "--host", "host-a", "--output", "json")).ExpectOk().Json.GetProperty("plan");
        Assert.Equal("stopped", Text(save, "mode"));
        Assert.False(save.TryGetProperty("is-fillable", out _));
        (await cluster.RunAsync("plan", "vm1", "--to", "host-b", "--target-qmp", "/nowhere/qmp")).ExpectExit(3);
        (await cluster.RunAsync("plan", "vm1", "/etc/planned.img", "--host", "host-a")).ExpectExit(3);
        await File.WriteAllTextAsync(image, "taken");
        (await cluster.RunAsync("plan", "vm1", image, "--host", "host-a")).ExpectExit(3);
        File.Delete(image);

        await source.WaitForStepsAsync();
        Assert.Equal(0, CountEvents(source, "STOP"));
        Assert.False(cluster.Hosts[1].Launched("vm1").IsAlive);
        Assert.Empty(Directory.GetFiles(cluster.Images));
    }

    [RequiresQemuFact(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    public async Task A_guest_does_not_stand_still_for_a_load_of_the_whole_image_that_nobody_has_agreed_to()
    {
        // Its RAMBlocks are too small to be filled in advance.
        await using var cluster = await ClusterUnderTest.StartAsync();
        await using var source = await cluster.Hosts[0].StartGuestAsync("vm1", MemoryKind.SharedFile, 12, new SelfCheckBoot { UpperMiB = 10 });
        string[] move = ["vm1", "--to", "host-b", "--max-downtime", "5ms"];
        Assert.Contains("--full-load", (await cluster.RunAsync(["plan", .. move])).ExpectOk().ErrorOutput, StringComparison.Ordinal);
        Assert.DoesNotContain("--full-load", (await cluster.RunAsync(["plan", .. move, "--full-load"])).ExpectOk().ErrorOutput, StringComparison.Ordinal);
        Assert.Contains("--full-load", (await cluster.RunAsync(["move", .. move])).ExpectExit(3).ErrorOutput, StringComparison.Ordinal);
        await source.WaitForStepsAsync();
        Assert.Equal(0, CountEvents(source, "STOP"));
        (await cluster.RunAsync("move", "vm1", "--to", "host-b", "--max-downtime", "20ms", "--policy", "must-finish")).ExpectOk();
        await cluster.Hosts[1].Launched("vm1").WaitForStepsAsync();
    }

    private static int CountEvents(QemuProcess guest, string name) =>
        guest.Monitor.Events.Count(sent => sent.GetProperty("event").GetString() == name);

    private static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();
}
