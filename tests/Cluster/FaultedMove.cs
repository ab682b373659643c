using System.Diagnostics;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>
/// One move of a guest of its own from host-a to host-b that meets a fault. It ends in a documented state or goes on by itself, and its
/// guest runs at exactly one place, at every moment and in the end.
/// </summary>
internal sealed class FaultedMove : IAsyncDisposable
{
    private const int NeedsAttention = 12;

    /// <summary>24 MiB take three seconds.</summary>
    private const string Rate = "8MiB/s";

    /// <summary>Each question starts a process.</summary>
    private static readonly TimeSpan Pace = TimeSpan.FromSeconds(1);

    /// <summary>Restarts, patience and detection together, on a busy machine.</summary>
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(120);

    private readonly ClusterUnderTest _cluster;
    private readonly MoveCase _case;
    private readonly string _guest;
    private readonly string _image;
    private readonly QemuProcess _source;
    private readonly OneRunsOnly _watcher;
    private readonly List<string> _notes = [];
    private readonly HashSet<ClusterHost> _keptDown = [];
    private readonly HashSet<ClusterHost> _cutOff = [];
    private QemuProcess? _blocker;
    private string _blockerId = "";
    private string _id = "";
    private (string Reason, string Message) _failure;

    private FaultedMove(ClusterUnderTest cluster, MoveCase @case, string guest, QemuProcess source)
    {
        _cluster = cluster;
        _case = @case;
        _guest = guest;
        _image = cluster.Image(guest + ".img");
        _source = source;

        // Each look finds the QEMU that is there now: one that was lost may be followed by another.
        _watcher = new OneRunsOnly(source.Serial, () => Target.Serial);
    }

    private ClusterHost SourceHost => _cluster.Hosts[0];

    private ClusterHost TargetHost => _cluster.Hosts[1];

    private LaunchedGuest Target => TargetHost.Launched(_guest);

    private bool IsOver => _source.HasExited;

    /// <summary>Starts the guest.</summary>
    public static async Task<FaultedMove> PrepareAsync(ClusterUnderTest cluster, MoveCase @case, string guest) =>
        new(cluster, @case, guest, await cluster.Hosts[0].StartGuestAsync(guest));

    /// <summary>A host that an earlier case cut off may be told dead, and end, only now; then a move may have begun of which its client heard nothing.</summary>
    private async Task<string> BeginAsync()
    {
        string[] keep = _case.KeepsImage ? ["--keep-image"] : [];
        CommandResult? begun = null;
        var id = "";
        await Wait.UntilAsync(
            async () =>
            {
                await StartWhatEndedAsync();
                if (begun is not null && await AskAsync("list", "--all", "--output", "json") is { } listed
                    && listed.GetProperty("migrations").EnumerateArray().FirstOrDefault(known => known.GetProperty("guest").GetString() == _guest) is { ValueKind: JsonValueKind.Object } unheard)
                {
                    id = unheard.GetProperty("id").GetString()!;
                    return true;
                }

                begun = await _cluster.RunAsync(["move", _guest, "--to", TargetHost.Name, "--image", _image, "--mode", "stopped", "--bwlimit", Rate, "--detach", .. keep]);
                id = begun.Output.Trim();
                return begun.ExitCode == 0;
            },
            "the move is begun",
            details: () => begun?.ErrorOutput ?? "");
        return id;
    }

    public async Task<MoveOutcome> RunAsync()
    {
        if (_case.Mark == MoveMark.Queued)
            await BlockAsync();
        _id = await BeginAsync();
        var asked = Stopwatch.StartNew();

        // An earlier case's move may have the place a while longer, if Redis lost its end.
        var status = "";
        await Wait.UntilAsync(
            async () =>
            {
                if (IsReached(_case.Mark) || IsOver)
                    return true;
                if (asked.Elapsed < Pace)
                    return false;
                asked.Restart();
                status = (await _cluster.TryReadPageAsync(_id)).ToString() ?? "";
                return false;
            },
            $"{_case.Mark} or the end", EndLimit, () => status);
        if (_case.Fault == MoveFault.LosesOfRedis)
            _cluster.Redis.Remember();
        await LetPassAsync(_case.Delay);
        var met = Met();
        await BreakAsync();
        await LetPassAsync(_case.Pause);
        await RepairAsync();
        await UnblockAsync();

        var phase = await EndAsync();
        if (phase == "needs-attention")
            phase = await AdoptAsync();
        await RunsAtOnePlaceAsync(phase);
        if (_keptDown.Count > 0)
        {
            // Who comes back late finds it decided.
            foreach (var host in _keptDown)
                host.Start();
            _keptDown.Clear();
            await AllAreUpAsync();
            await RunsAtOnePlaceAsync(phase);
        }

        await _watcher.ProveAsync();
        IsAllowed(phase);
        await AllAreUpAsync();
        if (File.Exists(_image))
            (await _cluster.RunAsync("verify", _image, "--deep")).ExpectOk();
        else if (_case.KeepsImage && phase == "completed")
            Assert.Fail("The image was to be kept, and is gone.");
        if (!_case.KeepsImage && Leftovers() is { Count: > 0 } left)
            _notes.Add($"left {string.Join(' ', left)}");
        return new MoveOutcome(met, phase, phase == "completed" ? TargetHost.Name : SourceHost.Name, string.Join("; ", _notes));
    }

    public async ValueTask DisposeAsync()
    {
        await _watcher.DisposeAsync();
        if (Target.IsAlive)
            await Target.KillAsync();
        if (_blocker is not null)
            await _blocker.DisposeAsync();
        await _source.DisposeAsync();
        foreach (var file in Leftovers())
            File.Delete(_cluster.Image(file));
    }

    private List<string> Leftovers() =>
        [.. Directory.GetFiles(_cluster.Images).Select(path => Path.GetFileName(path)).Where(name => name.StartsWith(_guest + ".img", StringComparison.Ordinal)).Order()];

    private static async Task LetPassAsync(TimeSpan time)
    {
        using var moment = new CancellationTokenSource(time);
        await Task.Delay(Timeout.Infinite, moment.Token).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <summary>Another guest's save has the only place of the host.</summary>
    private async Task BlockAsync()
    {
        _blocker = await ClusterUnderTest.StartGuestAsync();
        await _blocker.PauseAsync();
        _blockerId = await _cluster.SubmitSaveAsync(SourceHost.Name, _blocker, _image + ".other", "1MiB/s");
        await _cluster.WaitUntilCopyingAsync(_blockerId);
    }

    private async Task UnblockAsync()
    {
        if (_blockerId.Length == 0)
            return;
        await Wait.UntilAsync(
            async () =>
            {
                await StartWhatEndedAsync();
                var cancelled = await AskAsync("cancel", _blockerId);
                return cancelled is not null || await PhaseAsync(_blockerId) is "cancelled" or "failed" or "completed";
            },
            "the save that holds the place is cancelled", EndLimit);
    }

    private bool IsReached(MoveMark mark) => mark switch
    {
        MoveMark.Queued => true,
        MoveMark.Prepared => Target.IsAlive,
        MoveMark.Created => File.Exists(_image + ".partial"),
        MoveMark.Active => _source.Monitor.Events.Any(sent => sent.GetProperty("event").GetString() == "STOP"),
        MoveMark.Device => File.Exists(_image + ".partial.checksums") || File.Exists(_image),
        MoveMark.Claimed => File.Exists(_image + ".claim.1"),
        MoveMark.RunsThere => Target.Serial.Length > 0,
        _ => File.Exists(_image),
    };

    /// <summary>The furthest thing that has happened, as its files tell.</summary>
    private string Met() =>
        IsOver ? "source ended" : Enum.GetValues<MoveMark>().Reverse().Where(mark => mark != MoveMark.Restoring).First(IsReached).ToString();

    private async Task BreakAsync()
    {
        switch (_case.Fault)
        {
            case MoveFault.StopsRedis or MoveFault.LosesOfRedis:
                await _cluster.Redis.KillAsync();
                break;
            case MoveFault.CutsSource or MoveFault.CutsTarget or MoveFault.CutsOther:
                _cutOff.UnionWith(Victims());
                foreach (var host in Victims())
                    await _cluster.Network.CutAsync(host.Name);
                break;
            default:
                foreach (var host in Victims())
                    await host.KillAsync();
                break;
        }
    }

    private async Task RepairAsync()
    {
        switch (_case.Fault)
        {
            case MoveFault.StopsRedis:
                await _cluster.Redis.StartAgainAsync();
                break;
            case MoveFault.LosesOfRedis:
                _cluster.Redis.LoseWhatCameLater();
                await _cluster.Redis.StartAgainAsync();
                break;
            case MoveFault.CutsSource or MoveFault.CutsTarget or MoveFault.CutsOther:
                foreach (var host in Victims())
                    await _cluster.Network.HealAsync(host.Name);
                _cutOff.Clear();
                break;
            case MoveFault.KillsTargetForLong or MoveFault.KillsOtherForLong:
                _keptDown.UnionWith(Victims());
                break;
            default:
                foreach (var host in Victims())
                    host.Start();
                break;
        }
    }

    private ClusterHost[] Victims() => _case.Fault switch
    {
        MoveFault.KillsSource or MoveFault.CutsSource => [SourceHost],
        MoveFault.KillsTarget or MoveFault.KillsTargetForLong or MoveFault.CutsTarget => [TargetHost],
        MoveFault.KillsBoth => [SourceHost, TargetHost],
        MoveFault.KillsAll => [.. _cluster.Hosts],
        MoveFault.KillsOther or MoveFault.KillsOtherForLong or MoveFault.CutsOther => [_cluster.Hosts[2]],
        _ => [],
    };

    /// <summary>Waits until the move has ended, or nothing but a person can go on.</summary>
    private async Task<string> EndAsync()
    {
        var phase = "";
        var watching = Task.CompletedTask;
        await Wait.UntilAsync(
            async () =>
            {
                await StartWhatEndedAsync();
                if (!watching.IsCompleted)
                    return false;
                await watching;
                phase = await PhaseAsync(_id) ?? phase;
                if (phase is "completed" or "failed" || (phase == "needs-attention" && _keptDown.Contains(TargetHost)))
                    return true;
                watching = phase == "needs-attention" ? LetPassAsync(Pace) : _cluster.RunAsync("watch", _id);
                return false;
            },
            $"{_id} has ended", EndLimit, () => $"It is {phase}.");
        return phase;
    }

    /// <summary>A silo that learns that it was told dead ends, and systemd starts it again.</summary>
    private async Task StartWhatEndedAsync()
    {
        foreach (var host in _cluster.Hosts.Where(host => host.HasEnded))
        {
            _notes.Add($"{host.Name} ended ({await host.WaitForEndAsync()})");
            host.Start();
        }
    }

    /// <summary>A silo that was cut off may learn of it only once the move has ended.</summary>
    private async Task AllAreUpAsync()
    {
        var areUp = _cluster.WaitForHostsAsync("up", "up", "up");
        await Wait.UntilAsync(
            async () =>
            {
                await StartWhatEndedAsync();
                return areUp.IsCompleted;
            },
            "all silos are up again",
            EndLimit);
        await areUp;
    }

    private async Task<string?> PhaseAsync(string id)
    {
        if ((await _cluster.TryReadPageAsync(id) ?? await AskAsync("status", id, "--output", "json")) is not { } status)
            return null;
        var phase = status.GetProperty("phase").GetString();
        if (id == _id && phase == "failed")
            _failure = (status.GetProperty("reason").GetString()!, status.GetProperty("message").GetString()!);
        return phase;
    }

    /// <summary>Asks at any gateway that answers.</summary>
    private async Task<JsonElement?> AskAsync(params string[] arguments)
    {
        foreach (var host in _cluster.Hosts.Where(host => host is { IsReady: true, IsRunning: true } && !_cutOff.Contains(host)))
        {
            var result = await _cluster.RunAtAsync(host, arguments);
            if (result.ExitCode == 0)
                return arguments.Contains("json") ? result.Json : default;
        }

        return null;
    }

    /// <summary>A person looks at the target, and decides.</summary>
    private async Task<string> AdoptAsync()
    {
        var runsThere = Target.Serial.Length > 0;
        var to = runsThere && !_case.Adopts ? TargetHost : SourceHost;
        _notes.Add($"needed attention while it {(runsThere ? "ran there" : "did not run there")}; given to {to.Name}");
        (await _cluster.RunAsync("watch", _id)).ExpectExit(NeedsAttention);
        if (to == SourceHost)
            await Target.KillAsync();
        (await _cluster.RunAsync("adopt", _id, "--on", to.Name, "--detach")).ExpectOk();
        var phase = "needs-attention";
        await Wait.UntilAsync(
            async () => (phase = await PhaseAsync(_id)) is "completed" or "failed", $"{_id} has ended after it was adopted", EndLimit, () => $"It is {phase}.");
        Assert.Equal(to == TargetHost ? "completed" : "failed", phase);
        return phase!;
    }

    private async Task RunsAtOnePlaceAsync(string phase)
    {
        if (phase == "completed")
        {
            await Target.WaitForStepsAsync();
            if (!_source.HasExited)
                Assert.NotEqual("running", await _source.Monitor.RunStateAsync());
        }
        else
        {
            await _source.WaitForStepsAsync();
            Assert.False(Target.IsAlive && (await Target.ExecuteAsync("query-status")).GetProperty("running").GetBoolean(), "It runs on the target, too.");
        }

    }

    /// <summary>A move may fail because its target stays away. What passes costs time and nothing else.</summary>
    private void IsAllowed(string phase)
    {
        if (phase != "failed")
            return;
        Assert.True(_failure.Reason == "host-unavailable" && Victims().Contains(TargetHost), $"It failed: {_failure}");
        _notes.Add(_failure.Message);
    }
}
