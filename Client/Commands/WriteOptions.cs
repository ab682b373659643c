using System.CommandLine;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary>The options that say how an image is written: those that a save and a move share.</summary>
internal sealed class WriteOptions
{
    private readonly Option<int> _writers = CommonOptions.Number("--writers", "Writer threads, 1 to 64; 0 takes the host's default", 0, 64, 0);

    private readonly Option<long> _limit = new("--bwlimit")
    {
        Description = "Guest pages written per second at most, such as 500MiB/s or 1G [default: no limit]",
        HelpName = "RATE",
        CustomParser = result =>
        {
            if (ByteSize.TryParseRate(result.Tokens[0].Value, out var rate) && rate > 0)
                return rate;
            result.AddError($"'{result.Tokens[0].Value}' is not a rate; write 500MiB/s or 1G.");
            return 0;
        },
    };

    private readonly Option<string> _directIo = new("--direct-io")
    {
        Description = "Whether pages are written past the page cache (O_DIRECT); auto: where the file system takes it",
        DefaultValueFactory = _ => "auto",
    };

    private readonly Option<TimeSpan?> _maxDowntime = CommonOptions.Duration(
        "--max-downtime",
        "How long a fault of the storage may keep the guest stopped, such as 10s; then it runs on and the migration is paused [default: the host's]",
        mayBeZero: true);

    public WriteOptions() => _directIo.AcceptOnlyFromAmong("auto", "on", "off");

    public void AddTo(Command command)
    {
        command.Add(_writers);
        command.Add(_limit);
        command.Add(_directIo);
        command.Add(_maxDowntime);
    }

    public SaveOptions Read(Invocation invocation, AfterSave after = AfterSave.Pause, bool overwrite = false) => new(
        after,
        invocation.Get(_writers),
        invocation.Get(_limit),
        Enum.Parse<DirectIo>(invocation.Get(_directIo), ignoreCase: true),
        overwrite,
        invocation.Get(_maxDowntime));
}
