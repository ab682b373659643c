using System.Net.Sockets;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary><c>distmigrate doctor</c> as a person has it, with a real guest.</summary>
public sealed class DoctorTests : IAsyncLifetime, IAsyncDisposable
{
    private const int Refused = 3;

    private readonly ProductUnderTest _product = new();

    public Task InitializeAsync() => Task.CompletedTask;

    public ValueTask DisposeAsync() => _product.DisposeAsync();

    Task IAsyncLifetime.DisposeAsync() => DisposeAsync().AsTask();

    [RequiresQemuTheory]
    [InlineData(MemoryKind.SharedFile, "it is the shared file")]
    [InlineData(MemoryKind.Private, "it is private to QEMU")]
    public async Task A_guest_that_can_be_saved_fails_nothing_and_no_silo_is_started(MemoryKind memory, string words)
    {
        await using var guest = await QemuProcess.StartAsync(new GuestRecipe { MiB = 24, Memory = memory });
        var result = (await _product.RunAsync("doctor", "--qmp", guest.QmpSocket, "--output", "json")).ExpectOk();
        var checks = Checks(result);
        Assert.Equal(["monitor", "guest-qemu", "guest-blockers", "guest-memory"], checks.Where(c => Text(c.Value, "kind") == "guest").Select(c => c.Key));
        Assert.All(checks.Values.Where(check => Text(check, "kind") == "guest"), check => Assert.Equal("ok", Text(check, "verdict")));
        Assert.Contains($"process {guest.Pid} of user", Text(checks["monitor"], "found"), StringComparison.Ordinal);
        Assert.Contains(words, Text(checks["guest-memory"], "found"), StringComparison.Ordinal);
        Assert.Equal(("ok", "ok"), (Text(checks["qemu"], "verdict"), Text(checks["qemu-capabilities"], "verdict")));
        Assert.Empty(_product.FindSilos());
        Assert.False(Directory.Exists(_product.StateFolder));

        // Its monitor is free again.
        (await _product.RunAsync("save", "vm1", _product.Image("a.img"), "--qmp", guest.QmpSocket)).ExpectOk();
    }

    [RequiresQemuFact]
    public async Task A_guest_that_QEMU_cannot_migrate_is_told_with_QEMUs_words()
    {
        await using var guest = await QemuProcess.StartAsync(
            new GuestRecipe { MiB = 24, ExtraArguments = ["-drive", "if=none,id=n0,driver=null-co,size=1M", "-device", "nvme,drive=n0,serial=1"] });
        var checks = Checks((await _product.RunAsync("doctor", "--qmp", guest.QmpSocket, "--output", "json")).ExpectExit(Refused));
        Assert.Equal("failed", Text(checks["guest-blockers"], "verdict"));
        Assert.Contains("nvme", Text(checks["guest-blockers"], "found"), StringComparison.OrdinalIgnoreCase);
    }

    [RequiresQemuFact]
    public async Task A_monitor_that_another_client_has_and_one_that_is_not_there_fail_with_what_to_do()
    {
        await using var guest = await QemuProcess.StartAsync(new GuestRecipe { MiB = 24 });
        using var client = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await client.ConnectAsync(new UnixDomainSocketEndPoint(guest.QmpSocket));
        var taken = Checks((await _product.RunAsync("doctor", "--qmp", guest.QmpSocket, "--output", "json")).ExpectExit(Refused));
        Assert.Contains("says nothing", Text(taken["monitor"], "found"), StringComparison.Ordinal);
        Assert.Equal("not-tried", Text(taken["guest-memory"], "verdict"));

        var missing = Checks((await _product.RunAsync("doctor", "--qmp", "/nowhere/qmp", "--output", "json")).ExpectExit(Refused));
        Assert.Contains("cannot be connected", Text(missing["monitor"], "found"), StringComparison.Ordinal);
    }

    [RequiresQemuFact]
    public async Task A_running_silo_is_asked_for_its_version_and_its_storage_roots()
    {
        (await _product.RunAsync("status")).ExpectOk();
        var inside = Checks((await _product.RunAsync("doctor", _product.StorageRoot, "--output", "json")).ExpectOk());
        Assert.Equal(("ok", "ok"), (Text(inside["silo"], "verdict"), Text(inside["storage-root"], "verdict")));
        var outside = Directory.CreateTempSubdirectory("dm-outside-").FullName;
        try
        {
            var checks = Checks((await _product.RunAsync("doctor", outside, "--output", "json")).ExpectExit(10));
            Assert.Equal("failed", Text(checks["storage-root"], "verdict"));
            Assert.Contains(_product.StorageRoot, Text(checks["storage-root"], "found"), StringComparison.Ordinal);
        }
        finally
        {
            Directory.Delete(outside);
        }
    }

    [RequiresQemuFact]
    public async Task Without_QEMU_in_PATH_the_host_fails_and_the_output_says_what_to_install()
    {
        _product.Settings["PATH"] = "/nowhere";
        var result = (await _product.RunAsync("doctor")).ExpectExit(Refused);
        Assert.Matches(@"(?m)^  failed    qemu +There is no qemu-system-x86_64 in PATH\.$", result.Output);
        Assert.Matches(@"(?m)^ +fix: install QEMU 9\.0 or newer", result.Output);
        Assert.Matches(@"(?m)^  not tried qemu-capabilities ", result.Output);
        Assert.Contains(" 1 failed", result.ErrorOutput, StringComparison.Ordinal);
    }

    private static Dictionary<string, JsonElement> Checks(CommandResult result) =>
        result.Json.GetProperty("checks").EnumerateArray().ToDictionary(check => Text(check, "check"));

    private static string Text(JsonElement check, string name) => check.GetProperty(name).GetString()!;
}
