using System.Diagnostics;
using DistMigrate.Guests;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>QEMUs that are launched from the argument list of a running guest.</summary>
public sealed class LaunchTests : IAsyncLifetime, IAsyncDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("dm-launch-").FullName;
    private readonly QemuLauncher _launcher = new(TimeProvider.System);

    private string LaunchFolder => Path.Combine(_folder, "vm1");

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile)]
    [InlineData(MemoryKind.Memfd)]
    [InlineData(MemoryKind.Private)]
    public async Task A_guest_runs_on_in_a_QEMU_launched_from_its_own_arguments_and_moves_again_from_there(MemoryKind memory)
    {
        await using var source = await QemuProcess.StartAsync(new GuestRecipe { Memory = memory, BootFolder = _folder });
        await source.WaitUntilReadyAsync();
        var plan = await PlanAsync(source.QmpSocket, LaunchFolder, "first");
        Assert.Equal(memory == MemoryKind.SharedFile ? 1 : 0, plan.MemoryFiles.Count);
        var image = Path.Combine(_folder, "image");
        (await QemuSave.SaveAsync(source, image, FileMigration.Plain)).ThrowUnlessCompleted();

        var first = await LaunchAsync(plan, LaunchFolder, "first");
        Assert.True(LaunchedQemu.Find(LaunchFolder) is { IsAlive: true } found && found.Pid == first.Pid);
        await using (var guest = await ConnectAsync(first))
        {
            Assert.False((await guest.LoadImageAsync(image, new LoadOptions(2, DirectIo: false), CancellationToken.None)).Running);
            Assert.True((await guest.ContAsync(CancellationToken.None)).Running);
        }

        // The guest goes on with its checks, and what it prints is in the launch's own folder.
        await Wait.UntilAsync(() => source.Recipe.Boot.Steps(Serial(LaunchFolder)) >= 2, "the launched guest checks its memory", details: () => Serial(LaunchFolder));
        Assert.Null(source.Recipe.Boot.Fault(Serial(LaunchFolder)));

        var again = Path.Combine(_folder, "again");
        var second = await LaunchAsync(await PlanAsync(first.MonitorPath, again, "second"), again, "second");
        Assert.NotEqual(first.Pid, second.Pid);
        await second.EndAsync(TimeProvider.System, CancellationToken.None);
        await first.EndAsync(TimeProvider.System, CancellationToken.None);
        Assert.False(Directory.Exists($"/proc/{first.Pid}"));
        Assert.DoesNotContain(plan.MemoryFiles, File.Exists);
        Assert.DoesNotContain(plan.Sockets, File.Exists);
        Assert.True(File.Exists(first.LogPath));
        Assert.Null(LaunchedQemu.Find(LaunchFolder));
    }

    [RequiresQemuFact]
    public async Task A_QEMU_that_ends_early_shows_what_it_said_and_leaves_nothing_but_its_log()
    {
        var plan = Plan("-object", "memory-backend-file,id=m,size=16M,mem-path=/x,share=on", "-device", "no-such-device");
        var error = await Assert.ThrowsAsync<GuestException>(() => LaunchAsync(plan, LaunchFolder, "m"));
        Assert.Equal(GuestFault.Launch, error.Fault);
        Assert.Contains("no-such-device", error.Message, StringComparison.Ordinal);
        Assert.Null(LaunchedQemu.Find(LaunchFolder));
        Assert.Contains("no-such-device", await File.ReadAllTextAsync(Path.Combine(LaunchFolder, "qemu.log")), StringComparison.Ordinal);
        Assert.DoesNotContain(plan.MemoryFiles, File.Exists);
    }

    [RequiresQemuFact]
    public async Task A_stopped_QEMU_is_ended_as_well()
    {
        var launched = await LaunchAsync(Plan(), LaunchFolder, "m");
        await SignalAsync("STOP", launched.Pid);
        await launched.EndAsync(TimeProvider.System, CancellationToken.None);
        Assert.False(launched.IsAlive);
        Assert.False(Directory.Exists($"/proc/{launched.Pid}"));
    }

    [RequiresQemuFact]
    public async Task One_that_was_killed_counts_as_gone_and_is_launched_again()
    {
        var first = await LaunchAsync(Plan(), LaunchFolder, "m");
        await SignalAsync("KILL", first.Pid);
        await Wait.UntilAsync(() => !LaunchedQemu.Find(LaunchFolder)!.IsAlive, "it counts as gone");
        var second = await LaunchAsync(Plan(), LaunchFolder, "m");
        Assert.NotEqual(first.Pid, second.Pid);
        Assert.False(Directory.Exists($"/proc/{first.Pid}"));

        // The earlier one is not mistaken for it.
        await first.EndAsync(TimeProvider.System, CancellationToken.None);
        Assert.True(LaunchedQemu.Find(LaunchFolder) is { IsAlive: true } found && found.Pid == second.Pid);
    }

    [RequiresQemuFact]
    public async Task A_second_launch_with_the_same_folder_monitor_or_memory_file_is_refused_and_the_first_is_left_alone()
    {
        var first = await LaunchAsync(Plan(), LaunchFolder, "m");
        Assert.Equal(GuestFault.Busy, (await Assert.ThrowsAsync<GuestException>(() => LaunchAsync(Plan(), LaunchFolder, "m"))).Fault);
        var other = Path.Combine(_folder, "other");
        var placement = Placement(other, "m") with { MonitorPath = first.MonitorPath };
        var plan = LaunchPlan.Compose([LabPrograms.Qemu, "-M", "none"], placement);
        Assert.Equal(GuestFault.Busy, (await Assert.ThrowsAsync<GuestException>(() => _launcher.LaunchAsync(new LaunchRequest("vm1", plan, placement), CancellationToken.None))).Fault);
        Assert.True(first.IsAlive);

        var memory = LaunchPlan.Compose([LabPrograms.Qemu, "-object", "memory-backend-file,id=m,size=1M,mem-path=/x"], Placement(other, "taken"));
        await File.WriteAllTextAsync(memory.MemoryFiles[0], "");
        Assert.Contains(memory.MemoryFiles[0], (await Assert.ThrowsAsync<GuestException>(() => LaunchAsync(memory, other, "taken"))).Message, StringComparison.Ordinal);
        Assert.True(File.Exists(memory.MemoryFiles[0]));
    }

    [RequiresQemuFact]
    public async Task Without_its_number_on_record_it_is_found_by_its_monitor()
    {
        var launched = await LaunchAsync(Plan(), LaunchFolder, "m");
        var record = Path.Combine(LaunchFolder, "launch.json");
        var text = await File.ReadAllTextAsync(record);
        await File.WriteAllTextAsync(record, text.Replace($"\"pid\": {launched.Pid}", "\"pid\": 0", StringComparison.Ordinal));
        var found = LaunchedQemu.Find(LaunchFolder)!;
        Assert.Equal((launched.Pid, launched.StartTime, true), (found.Pid, found.StartTime, found.IsAlive));
    }

    public Task InitializeAsync() => Task.CompletedTask;

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    public async ValueTask DisposeAsync()
    {
        foreach (var folder in Directory.EnumerateDirectories(_folder))
        {
            if (LaunchedQemu.Find(folder) is { } left)
                await left.EndAsync(TimeProvider.System, CancellationToken.None);
        }

        Directory.Delete(_folder, recursive: true);
    }

    private static LaunchPlacement Placement(string folder, string prefix) =>
        new(folder, folder + ".qmp", folder, prefix);

    private static string Serial(string folder) => File.ReadAllText(Path.Combine(folder, "serial"));

    private static Task<QemuGuest> ConnectAsync(LaunchedQemu launched) =>
        QemuGuest.ConnectAsync("vm1", launched.MonitorPath, TimeProvider.System, CancellationToken.None);

    private static async Task SignalAsync(string signal, int pid)
    {
        using var kill = Process.Start("kill", ["-" + signal, $"{pid}"]);
        await kill.WaitForExitAsync();
        Assert.Equal(0, kill.ExitCode);
    }

    private static async Task<LaunchPlan> PlanAsync(string monitor, string folder, string prefix)
    {
        await using var guest = await QemuGuest.ConnectAsync("vm1", monitor, TimeProvider.System, CancellationToken.None);
        return LaunchPlan.Compose(guest.ReadArguments(), Placement(folder, prefix));
    }

    private LaunchPlan Plan(params string[] more) =>
        LaunchPlan.Compose([LabPrograms.Qemu, "-M", "none", "-nodefaults", "-display", "none", .. more], Placement(LaunchFolder, "m"));

    private Task<LaunchedQemu> LaunchAsync(LaunchPlan plan, string folder, string prefix) =>
        _launcher.LaunchAsync(new LaunchRequest("vm1", plan, Placement(folder, prefix)), CancellationToken.None);
}
