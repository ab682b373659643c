using System.CommandLine;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary>The options that say how an image is written: those that a save and a move share.</summary>
internal sealed class WriteOptions
{
    private readonly Option<int> _writers = CommonOptions.Number("--writers", "Writer threads, 1 to 64; 0 takes the host's default", 0, 64, 0);

    private readonly Option<long?> _limit = CommonOptions.Rate(
        "--bwlimit", "Guest pages written per second at most, such as 500MiB/s or 1G [default: no limit]", mayBeZero: false);

    private readonly Option<string> _directIo = new("--direct-io")
    {
        Description = "Whether pages are written past the page cache (O_DIRECT); auto: where the file system takes it",
        DefaultValueFactory = _ => "auto",
    };

    private readonly Option<TimeSpan?> _maxDowntime = CommonOptions.Duration(
        "--max-downtime",
        "How long the guest may stand still: at the end of a live save [default: 300ms], or while a fault of the storage lasts when it is stopped first [default: the host's]",
        mayBeZero: true);

    private readonly Option<TimeSpan?> _stallTimeout = CommonOptions.Duration(
        "--stall-timeout", "How long writes may not return from the storage before the migration is paused [default: the host's]", mayBeZero: false);

    private readonly Option<string> _mode = new("--mode")
    {
        Description = "stopped: stop the guest first; stream, compare: write its pages while it runs, and learn what it changes from QEMU or by comparison; snapshot: write what it held at the beginning while it runs on (not for a move); auto: stream where it is to run on, else stopped",
        DefaultValueFactory = _ => "auto",
    };

    private readonly Option<int> _streams = CommonOptions.Number(
        "--streams", "Parallel streams from QEMU (multifd) with --mode stream, 1 to 64; 0 takes the host's default", 0, 64, 0);

    private readonly Option<string> _policy = new("--policy")
    {
        Description = "What a live save does when the guest changes memory too fast: balanced lets the downtime grow tenfold, must-finish as far as it takes and slows a streamed guest's CPUs down, minimal-downtime gives up",
        DefaultValueFactory = _ => "balanced",
    };

    private readonly Option<int> _mostIterations = CommonOptions.Number(
        "--at-most", "Iterations after which a live save stops the guest, however long that takes; 0 for no such limit", 0, 1000, 0);

    public WriteOptions()
    {
        _directIo.AcceptOnlyFromAmong("auto", "on", "off");
        _mode.AcceptOnlyFromAmong("auto", "stopped", "stream", "compare", "snapshot");
        _policy.AcceptOnlyFromAmong("balanced", "minimal-downtime", "must-finish");
    }

    public void AddTo(Command command)
    {
        command.Add(_writers);
        command.Add(_limit);
        command.Add(_directIo);
        command.Add(_maxDowntime);
        command.Add(_stallTimeout);
        command.Add(_mode);
        command.Add(_streams);
        command.Add(_policy);
        command.Add(_mostIterations);
    }

    /// <summary>What becomes of a guest that is saved.</summary>
    public static Option<string?> Then(string description)
    {
        var then = new Option<string?>("--then") { Description = $"{description} [default: pause; with --mode snapshot: run]" };
        then.AcceptOnlyFromAmong("pause", "run", "quit");
        return then;
    }

    public SaveOptions Read(Invocation invocation, Option<string?>? then = null, bool overwrite = false)
    {
        AfterSave? after = then is not null && invocation.Get(then) is { } word ? Enum.Parse<AfterSave>(word, ignoreCase: true) : null;
        var mode = Enum.Parse<SaveMode>(invocation.Get(_mode), ignoreCase: true);
        return new SaveOptions(
            after ?? (mode == SaveMode.Snapshot ? AfterSave.Run : AfterSave.Pause),
            invocation.Get(_writers),
            invocation.Get(_limit) ?? 0,
            Enum.Parse<DirectIo>(invocation.Get(_directIo), ignoreCase: true),
            overwrite,
            invocation.Get(_maxDowntime),
            mode,
            Enum.Parse<ConvergencePolicy>(invocation.Get(_policy).Replace("-", "", StringComparison.Ordinal), ignoreCase: true),
            invocation.Get(_mostIterations),
            invocation.Get(_stallTimeout),
            invocation.Get(_streams));
    }
}
