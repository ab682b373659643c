using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using DistMigrate.Client;
using DistMigrate.Client.Connection;

namespace DistMigrate.Tests.Unit.Client;

/// <summary>The silo is a shell script here; its gateway is a listener of the test.</summary>
public sealed class BackgroundSiloTests : IDisposable
{
    private readonly TestSurroundings _test = new();
    private readonly TcpListener _gateway = new(IPAddress.Loopback, 0);
    private readonly List<string> _said = [];

    public BackgroundSiloTests() => _gateway.Start();

    private string State => Path.Combine(_test.Folder, "state");

    private int Port => ((IPEndPoint)_gateway.LocalEndpoint).Port;

    public void Dispose()
    {
        EndSilo();
        _gateway.Dispose();
        _test.Dispose();
    }

    [Fact]
    public async Task A_living_silo_is_used_as_it_is()
    {
        WriteSiloFile(Environment.ProcessId, Port);
        var file = await Silo("exit 1").EnsureAsync(CancellationToken.None);
        Assert.Equal("host-a", file.Host);
        Assert.Empty(_said);
    }

    [Fact]
    public async Task A_silo_is_started_when_none_runs()
    {
        var file = await Silo($"""
            test "$1" = --background && test "$2" = --state || exit 99
            {SiloFileScript("$3", Port)}
            exec sleep 300
            """).EnsureAsync(CancellationToken.None);
        Assert.Equal($"127.0.0.1:{Port}", file.Gateway);
        Assert.Single(_said);
    }

    [Fact]
    public async Task The_state_folder_is_made_private()
    {
        await Silo($"{SiloFileScript("$3", Port)}; exec sleep 300").EnsureAsync(CancellationToken.None);
        if (OperatingSystem.IsLinux())
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(State));
    }

    [Fact]
    public async Task The_file_of_a_dead_silo_is_not_believed()
    {
        WriteSiloFile(int.MaxValue, Port);
        await Silo($"{SiloFileScript("$3", Port)}; exec sleep 300").EnsureAsync(CancellationToken.None);
        Assert.Single(_said);
    }

    [Fact]
    public async Task The_last_lines_of_a_silo_that_ends_early_are_shown()
    {
        Directory.CreateDirectory(State);
        await File.WriteAllTextAsync(Path.Combine(State, "silo.log"), "of an earlier run\n");
        var e = await Assert.ThrowsAsync<CommandException>(() => Silo("""
            echo "port taken" >> "$3/silo.log"
            exit 3
            """).EnsureAsync(CancellationToken.None));
        Assert.Equal(ExitCode.Unreachable, e.ExitCode);
        Assert.Contains("exit code 3", e.Message, StringComparison.Ordinal);
        Assert.Contains("port taken", e.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("earlier run", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_silo_of_another_command_is_waited_for()
    {
        // The first start finds the folder locked by a silo that writes its file only then.
        var file = await Silo($"""
            {SiloFileScript("$3", Port, Environment.ProcessId)}
            exit 7
            """).EnsureAsync(CancellationToken.None);
        Assert.Equal(Environment.ProcessId, file.Pid);
    }

    [Fact]
    public async Task A_silo_that_held_the_folder_and_went_away_is_replaced()
    {
        var file = await Silo($"""
            test -e "$3/second" || (touch "$3/second"; exit 7) || exit 7
            {SiloFileScript("$3", Port)}
            exec sleep 300
            """).EnsureAsync(CancellationToken.None);
        Assert.Equal($"127.0.0.1:{Port}", file.Gateway);
    }

    [Fact]
    public async Task A_program_that_cannot_be_started_is_named()
    {
        var script = _test.Write("not-executable", "x");
        var e = await Assert.ThrowsAsync<CommandException>(() => Silo(() => script).EnsureAsync(CancellationToken.None));
        Assert.Equal(ExitCode.Unreachable, e.ExitCode);
        Assert.Contains(script, e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{")]
    [InlineData("[]")]
    [InlineData("""{"pid":0,"host":"h","gateway":"127.0.0.1:1","clusterId":"c","serviceId":"s"}""")]
    [InlineData("""{"pid":1,"host":"h","gateway":"nowhere","clusterId":"c","serviceId":"s"}""")]
    [InlineData("""{"pid":1,"host":"h","gateway":"127.0.0.1:1","serviceId":"s"}""")]
    public void A_file_that_does_not_describe_a_silo_is_passed_over(string text)
    {
        _test.Write("state/silo.json", text);
        Assert.Null(SiloFile.TryRead(State));
    }

    [Fact]
    public void A_file_with_more_in_it_than_we_know_is_read()
    {
        _test.Write("state/silo.json", """{"pid":1,"host":"h","gateway":"127.0.0.1:1","clusterId":"c","serviceId":"s","future":{}}""");
        Assert.Equal(1, SiloFile.TryRead(State)!.Pid);
    }

    [Fact]
    public async Task A_silo_whose_gateway_is_closed_is_not_alive()
    {
        WriteSiloFile(Environment.ProcessId, Port);
        var file = SiloFile.TryRead(State)!;
        Assert.True(await file.IsAliveAsync(CancellationToken.None));
        _gateway.Stop();
        Assert.False(await file.IsAliveAsync(CancellationToken.None));
    }

    [Fact]
    public void The_program_is_found_beside_the_client_or_in_the_build_tree()
    {
        var settings = new ClientSettings([], "", null, State, null);
        var client = Path.Combine(_test.Folder, "bin", "DistMigrate.Client", "debug");
        var missing = Assert.Throws<CommandException>(() => SiloProgram.Find(settings, client + "/"));
        Assert.Equal(ExitCode.Unreachable, missing.ExitCode);

        var release = _test.Write("bin/DistMigrate.Silo/release/distmigrate-silo", "");
        Assert.Equal(release, SiloProgram.Find(settings, client + "/"));
        var debug = _test.Write("bin/DistMigrate.Silo/debug/distmigrate-silo", "");
        Assert.Equal(debug, SiloProgram.Find(settings, client));
        var beside = _test.Write("bin/DistMigrate.Client/debug/distmigrate-silo", "");
        Assert.Equal(beside, SiloProgram.Find(settings, client));
    }

    private void EndSilo()
    {
        if (_said.Count == 0 || SiloFile.TryRead(State) is not { } file || file.Pid == Environment.ProcessId)
            return;
        using var silo = Process.GetProcessById(file.Pid);
        silo.Kill();
    }

    private BackgroundSilo Silo(string script) => Silo(() =>
    {
        var path = _test.Write("silo.sh", "#!/bin/sh\n" + script + "\n");
        if (OperatingSystem.IsLinux())
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserExecute);
        return path;
    });

    private BackgroundSilo Silo(Func<string> program) =>
        new(State, program, new Dictionary<string, string>(), TimeProvider.System, _said.Add);

    private void WriteSiloFile(int pid, int port) => _test.Write("state/silo.json", SiloFileText($"{pid}", port));

    private static string SiloFileScript(string folder, int port, int? pid = null) =>
        $"printf '%s' \"{SiloFileText(pid?.ToString() ?? "$$", port).Replace("\"", "\\\"", StringComparison.Ordinal)}\" > \"{folder}/silo.json\"";

    private static string SiloFileText(string pid, int port) =>
        $$"""{"pid":{{pid}},"host":"host-a","gateway":"127.0.0.1:{{port}}","clusterId":"c","serviceId":"distmigrate","http":"","version":"0.1.0"}""";
}
