using System.Diagnostics;
using System.Globalization;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>The scripts of <c>deploy/cluster</c>, used as docs/cluster.md tells a new user to.</summary>
public sealed class OneMachineTests
{
    /// <summary>The product is built when it is older than its sources.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

    // artifacts/bin/PROJECT/CONFIGURATION/PROGRAM
    private static readonly string Repository = Path.GetFullPath("../../../../..", Commands.ClientProgram);

    [RequiresQemuTheory(LabNeeds.Redis | LabNeeds.SelfCheckGuest)]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_cluster_of_one_machine_moves_a_guest_and_leaves_no_process(bool tls)
    {
        using var belongings = Belongings.Create();

        // The one folder is named, the other one is where the scripts have it by themselves.
        var folder = belongings.At(tls ? "tls" : "distmigrate-cluster");
        string[] named = tls ? [folder] : [];
        try
        {
            (await ScriptAsync("up", tls ? ["--tls", folder] : [])).ExpectOk();
            (await ScriptAsync("guest", ["vm1", "hv1", .. named])).ExpectOk();
            var started = Processes(folder);
            foreach (var process in started)
                belongings.AddProcess(process.Pid);
            Assert.Equal(["hv1", "hv2", "hv3"], (await HostsAsync(folder)).Select(host => host.GetProperty("host").GetString()));

            (await CommandAsync(folder, "move", "vm1", "--to", "hv2")).ExpectOk();
            var moved = new LaunchedGuest(Path.Combine(folder, "hv2", "guests", "vm1"), new SelfCheckBoot());
            await moved.WaitForStepsAsync();
            Assert.False(started[^1].IsAlive);
            Assert.Equal(["hv2"], (await HostsAsync(folder)).Where(host => host.GetProperty("guests").GetArrayLength() > 0).Select(host => host.GetProperty("host").GetString()));

            if (tls)
            {
                var file = JsonDocument.Parse(await File.ReadAllBytesAsync(Path.Combine(folder, "cluster.json"))).RootElement;
                var stranger = await RunAsync(Commands.Client(["hosts", "--cluster", file.GetProperty("redis").GetString()!, "--cluster-id", file.GetProperty("cluster-id").GetString()!]));
                Assert.Equal(9, stranger.ExitCode);
            }

            // A later process of a recorded number is not theirs to end.
            await File.AppendAllTextAsync(Path.Combine(folder, "processes"), string.Create(CultureInfo.InvariantCulture, $"guest-other {Environment.ProcessId} 1\n"));
            (await ScriptAsync("down", named)).ExpectOk();
            Assert.DoesNotContain(started, process => process.IsAlive);
            Assert.False(moved.IsAlive);
        }
        finally
        {
            await ScriptAsync("down", named);
        }

        Task<CommandResult> ScriptAsync(string name, params IReadOnlyList<string> arguments)
        {
            var start = Commands.Program(Path.Combine(Repository, "deploy", "cluster", name), arguments);
            start.Environment["XDG_STATE_HOME"] = belongings.Folder;
            return RunAsync(start);
        }
    }

    private static async Task<List<JsonElement>> HostsAsync(string folder) =>
        [.. (await CommandAsync(folder, "hosts", "--output", "json")).ExpectOk().Json.GetProperty("hosts").EnumerateArray()];

    private static ProcessIdentity[] Processes(string folder) =>
        [.. File.ReadLines(Path.Combine(folder, "processes")).Select(line => ProcessIdentity.Parse(line[(line.IndexOf(' ', StringComparison.Ordinal) + 1)..])!.Value)];

    private static Task<CommandResult> CommandAsync(string folder, params IReadOnlyList<string> arguments) =>
        RunAsync(Commands.Client([.. arguments, "--cluster", Path.Combine(folder, "cluster.json")]));

    private static async Task<CommandResult> RunAsync(ProcessStartInfo start)
    {
        using var process = Commands.Start(start);
        return await Commands.RunAsync(process, string.Join(' ', start.ArgumentList), Limit, () => start.FileName);
    }
}
