using System.Diagnostics;
using System.Text.Json;
using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>What <c>distmigrate doctor</c> says of storage that is bad in one way.</summary>
public sealed class DoctorStorageTests : IAsyncLifetime, IAsyncDisposable
{
    private const int StorageFailed = 10;

    /// <summary>A hung check is given up after ten seconds; the rest is the machine's.</summary>
    private static readonly TimeSpan HangLimit = TimeSpan.FromSeconds(60);

    private readonly ProductUnderTest _product = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public ValueTask DisposeAsync() => _product.DisposeAsync();

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task A_good_disk_fails_nothing_and_nothing_is_left_in_it()
    {
        await using var storage = MountedFolder.Ext4(256);
        var before = FolderState.Of(storage.Path);
        var checks = await DoctorAsync(storage.Path, 0);
        Assert.All(checks.Values, check => Assert.NotEqual("failed", Verdict(check)));
        foreach (var id in new[] { "folder", "mount", "create", "direct-io", "fsync", "holes", "punch-hole", "allocate", "rename", "exclusive-create", "lock", "throughput" })
            Assert.Equal((id, "ok"), (id, Verdict(checks[id])));
        Assert.Contains("ext4 /dev/loop", Found(checks["mount"]), StringComparison.Ordinal);
        Assert.True(before.IsUnchanged);
    }

    [RequiresFaultsFact(FaultNeeds.Xfs)]
    public async Task A_good_xfs_fails_nothing()
    {
        await using var storage = MountedFolder.Xfs(300);
        Assert.Contains("xfs /dev/loop", Found((await DoctorAsync(storage.Path, 0))["mount"]), StringComparison.Ordinal);
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task A_read_only_mount_a_full_disk_and_a_folder_that_is_not_there_fail_with_what_to_do()
    {
        await using var storage = MountedFolder.Ext4(64);
        storage.Fill(leave: 0);
        var full = await DoctorAsync(storage.Path, StorageFailed);
        Assert.Equal(("failed", "failed"), (Verdict(full["space"]), Verdict(full["create"])));
        Assert.Contains("ENOSPC", Found(full["create"]), StringComparison.Ordinal);
        Assert.Contains("free space", Text(full["create"], "fix"), StringComparison.Ordinal);
        Assert.Equal("not-tried", Verdict(full["lock"]));

        storage.MakeReadOnly();
        var readOnly = await DoctorAsync(storage.Path, StorageFailed);
        Assert.Equal(("failed", "failed"), (Verdict(readOnly["mount"]), Verdict(readOnly["create"])));
        Assert.Contains("EROFS", Found(readOnly["create"]), StringComparison.Ordinal);

        var missing = await DoctorAsync(storage.At("missing"), StorageFailed);
        Assert.Equal("It does not exist.", Found(missing["folder"]));
        Assert.All(missing.Where(check => check.Key != "folder"), check => Assert.Equal("not-tried", Verdict(check.Value)));
    }

    [RequiresFaultsFact(FaultNeeds.Mount)]
    public async Task A_file_system_without_O_DIRECT_is_warned_of_and_one_in_memory_too()
    {
        await using var storage = MountedFolder.Ramfs();
        var checks = await DoctorAsync(storage.Path, 0);
        Assert.Equal(("warning", "warning"), (Verdict(checks["mount"]), Verdict(checks["direct-io"])));
        Assert.Contains("page cache", Text(checks["direct-io"], "why"), StringComparison.Ordinal);
    }

    [RequiresFaultsFact(FaultNeeds.Sshfs)]
    public async Task On_sshfs_locks_do_not_reach_other_hosts_and_holes_are_not_told()
    {
        await using var storage = await SshfsStorage.StartAsync();
        var checks = await DoctorAsync(storage.Path, StorageFailed);
        Assert.Equal("failed", Verdict(checks["mount"]));
        Assert.Equal("warning", Verdict(checks["holes"]));
        Assert.Equal("warning", Verdict(checks["punch-hole"]));

        // The same files on their server, where no lock of the client arrives.
        await using var hold = await HoldAsync(storage.Path);
        var peer = await DoctorAsync(storage.ServerFolder, StorageFailed, "--peer", Environment.MachineName);
        Assert.Equal("failed", Verdict(peer["peer-lock"]));
        Assert.Contains("does not keep this host out", Found(peer["peer-lock"]), StringComparison.Ordinal);
        await hold.EndAsync();
        Assert.Empty(Directory.EnumerateFileSystemEntries(storage.ServerFolder));
    }

    [FullFaultsFact(FaultNeeds.Gluster)]
    public async Task On_GlusterFS_a_lock_reaches_another_host()
    {
        await using var storage = await GlusterStorage.StartAsync();
        var elsewhere = await storage.MountAsync();
        await using var hold = await HoldAsync(storage.Path);

        // The other client of the volume is on this machine, which the boot id would tell.
        var other = Path.Combine(_product.StorageRoot, "boot_id");
        await File.WriteAllTextAsync(other, "11111111-2222-3333-4444-555555555555\n");
        using var process = Start("unshare", "--mount", "sh", "-c", "mount --bind \"$0\" /proc/sys/kernel/random/boot_id && exec \"$@\"", other,
            Commands.ClientProgram, "doctor", elsewhere, "--peer", Environment.MachineName, "--output", "json");
        var result = await Commands.RunAsync(process, $"doctor {elsewhere} --peer", HangLimit, () => storage.Messages);
        var checks = Checks(result.ExpectOk(), "storage");
        Assert.Equal(("ok", "ok", "ok"), (Verdict(checks["mount"]), Verdict(checks["lock"]), Verdict(checks["peer-lock"])));

        // Without that pretence it is told that this says nothing of other hosts; without a holder, that there is none.
        Assert.Equal("warning", Verdict((await DoctorAsync(elsewhere, 0, "--peer", Environment.MachineName))["peer-lock"]));
        await hold.EndAsync();
        Assert.Equal("failed", Verdict((await DoctorAsync(elsewhere, StorageFailed, "--peer", Environment.MachineName))["peer-lock"]));
        Assert.Empty(Directory.EnumerateFileSystemEntries(elsewhere));
    }

    [RequiresFaultsFact(FaultNeeds.Strace)]
    public async Task An_fsync_that_fails_is_told_with_its_error()
    {
        using var process = Start("strace", "-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO",
            Commands.ClientProgram, "doctor", _product.StorageRoot, "--output", "json");
        var result = await Commands.RunAsync(process, "doctor under strace", HangLimit, () => "");
        var checks = Checks(result.ExpectExit(StorageFailed), "storage");
        Assert.Equal("failed", Verdict(checks["fsync"]));
        Assert.Contains("EIO", Found(checks["fsync"]), StringComparison.Ordinal);
        Assert.Equal(("ok", "ok"), (Verdict(checks["direct-io"]), Verdict(checks["lock"])));
        Assert.Empty(Directory.EnumerateFileSystemEntries(_product.StorageRoot));
    }

    [RequiresFaultsFact(FaultNeeds.Loop)]
    public async Task Storage_that_hangs_is_given_up_and_its_probe_removes_its_files_once_it_is_answered()
    {
        await using var storage = MountedFolder.Ext4(64);
        var before = FolderState.Of(storage.Path);
        var good = Path.Combine(_product.StorageRoot, "good");
        Directory.CreateDirectory(good);
        var untouched = Directory.GetLastWriteTimeUtc(storage.Path);
        storage.Freeze();
        try
        {
            var result = (await _product.RunAsync(["doctor", storage.Path, good, "--output", "json"], HangLimit)).ExpectExit(StorageFailed);
            var checks = Checks(result, "storage", storage.Path);
            Assert.Equal("It did not answer within 10 s.", Found(checks["create"]));
            Assert.Equal(("not-tried", "The storage does not answer."), (Verdict(checks["lock"]), Found(checks["lock"])));
            Assert.Equal("ok", Verdict(Checks(result, "storage", good)["lock"]));
        }
        finally
        {
            storage.Unfreeze();
        }

        await Wait.UntilAsync(() => Directory.GetLastWriteTimeUtc(storage.Path) != untouched && before.IsUnchanged, "nothing is left of the probe");
    }

    [RequiresFaultsTheory(FaultNeeds.None)]
    [InlineData("TERM", 130)]
    [InlineData("INT", 130)]
    [InlineData("KILL", 137)]
    public async Task However_it_is_ended_its_files_go(string signal, int exitCode)
    {
        var folder = Path.Combine(_product.StorageRoot, "ended");
        Directory.CreateDirectory(folder);
        using var process = _product.Start(["doctor", folder]);
        var ended = Commands.RunAsync(process, "doctor", HangLimit, () => "");
        await Wait.UntilAsync(() => Directory.EnumerateFiles(folder).Any(), "a check has a file");
        SystemProgram.Run("kill", "-s", signal, process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
        (await ended).ExpectExit(exitCode);
        await Wait.UntilAsync(() => !Directory.EnumerateFiles(folder).Any(), "its files are gone");
    }

    private static Process Start(string program, params string[] arguments) => Commands.Start(Commands.Program(program, arguments));

    private static string Verdict(JsonElement check) => Text(check, "verdict");

    private static string Found(JsonElement check) => Text(check, "found");

    private static string Text(JsonElement check, string name) => check.GetProperty(name).GetString()!;

    private static Dictionary<string, JsonElement> Checks(CommandResult result, string kind, string? subject = null) =>
        result.Json.GetProperty("checks").EnumerateArray()
            .Where(check => Text(check, "kind") == kind && (subject is null || Text(check, "subject") == subject))
            .ToDictionary(check => Text(check, "check"));

    private async Task<Dictionary<string, JsonElement>> DoctorAsync(string folder, int exitCode, params string[] options) =>
        Checks((await _product.RunAsync(["doctor", folder, "--output", "json", .. options])).ExpectExit(exitCode), "storage", folder);

    private async Task<Holder> HoldAsync(string folder)
    {
        var process = _product.Start(["doctor", folder, "--hold"]);
        var holder = new Holder(process);
        Assert.Contains("holds a lock", await process.StandardOutput.ReadLineAsync().WaitAsync(Wait.Ordinary), StringComparison.Ordinal);
        return holder;
    }

    /// <summary>A command that holds a lock until it is interrupted.</summary>
    private sealed class Holder(Process process) : IAsyncDisposable
    {
        public async Task EndAsync()
        {
            SystemProgram.Run("kill", "-s", "INT", process.Id.ToString(System.Globalization.CultureInfo.InvariantCulture));
            await process.WaitForExitAsync().WaitAsync(Wait.Ordinary);
            Assert.Equal(0, process.ExitCode);
        }

        public async ValueTask DisposeAsync()
        {
            if (!process.HasExited)
                await EndAsync();
            process.Dispose();
        }
    }
}
