using System.CommandLine;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary><c>distmigrate gc</c>.</summary>
internal static class GcCommand
{
    private const string Nothing = "nothing is left over that nobody owns";

    public static Command Create(CommandRunner runner)
    {
        var remove = new Option<bool>("--remove") { Description = "Remove what nobody owns [default: only list]" };
        var olderThan = CommonOptions.Duration("--older-than", "Only what was last written so long ago, such as 7d or 12h [default: everything]", mayBeZero: true);
        var host = CommonOptions.Host();
        var command = new Command(
            "gc", "List partial images, journals and other files that saves left below a host's storage roots; with --remove, remove those that no migration owns.")
        {
            remove, olderThan, host,
        };
        runner.Attach(command, async invocation =>
        {
            var settings = invocation.LoadSettings();
            await using var connection = await invocation.ConnectAsync(settings);
            var hostName = CommonOptions.ChooseHost(invocation.Get(host), connection, settings);
            var leftovers = Filter(
                await connection.CallAsync(grains => grains.GetGrain<IHostGrain>(hostName).FindLeftovers(), invocation.Cancellation),
                invocation.Get(olderThan) ?? TimeSpan.Zero, invocation.Time);
            if (invocation.Get(remove))
                return await RemoveAsync(invocation, connection, hostName, leftovers);

            invocation.Terminal.Show(hostName, removes: false, leftovers, invocation.Time);
            var unowned = leftovers.Where(file => !file.IsOwned).ToList();
            invocation.Terminal.Say(unowned.Count == 0
                ? Nothing
                : $"{Sum(unowned)} can be removed; 'distmigrate gc --remove' does that");
            return ExitCode.Ok;
        });
        return command;
    }

    /// <summary>Those old enough, and every remark about a folder.</summary>
    internal static IReadOnlyList<Leftover> Filter(IReadOnlyList<Leftover> leftovers, TimeSpan olderThan, TimeProvider time) =>
        [.. leftovers.Where(file => !LeftoverOutput.IsFile(file) || time.GetUtcNow() - file.Changed >= olderThan)];

    /// <summary>Journals last: they tell whose the other files are, should the rest fail.</summary>
    internal static IReadOnlyList<Leftover> Order(IEnumerable<Leftover> unowned) =>
        [.. unowned.OrderBy(file => file.Path.EndsWith(".journal", StringComparison.Ordinal))];

    private static async Task<int> RemoveAsync(Invocation invocation, SiloConnection connection, string host, IReadOnlyList<Leftover> leftovers)
    {
        var outcome = leftovers.ToDictionary(file => file.Path, StringComparer.Ordinal);
        var exitCode = ExitCode.Ok;
        foreach (var file in Order(leftovers.Where(file => !file.IsOwned)))
        {
            try
            {
                // One at a time: removing a large file may take as long as the host gives its storage to answer.
                var removed = await connection.CallAsync(
                    grains => grains.GetGrain<IHostGrain>(host).RemoveLeftovers([file.Path]), invocation.Cancellation);
                foreach (var result in removed)
                    outcome[result.Path] = result;
                if (removed.Any(result => !result.IsRemoved && !result.IsOwned))
                    exitCode = ExitCode.Storage;
            }
            catch (MigrationException e)
            {
                invocation.Terminal.Fail(e.Message, FailureHints.Of(e.Reason));
                exitCode = ExitCodes.OfReceived(e.Reason);
                break;
            }
        }
        invocation.Terminal.Show(host, removes: true, [.. outcome.Values.OrderBy(file => file.Path, StringComparer.Ordinal)], invocation.Time);
        invocation.Terminal.Say(leftovers.All(file => file.IsOwned) ? Nothing : $"{Sum([.. outcome.Values.Where(file => file.IsRemoved)])} removed");
        return exitCode;
    }

    private static string Sum(List<Leftover> files) =>
        $"{Printable.Count(files.Count)} {(files.Count == 1 ? "file" : "files")} ({ByteSize.Format(files.Sum(file => file.Bytes))})";
}
