using DistMigrate.Client.Commands;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary><c>--hold</c>: keeps a lock for as long as it runs, so that another host can look whether that keeps it out.</summary>
internal static class LockHold
{
    public static async Task<int> RunAsync(Invocation invocation, string folder)
    {
        await using var process = ProbeProcess.Start(invocation.Surroundings, [folder, "--hold"]);
        try
        {
            for (var isFirst = true; ; isFirst = false)
            {
                var line = await process.ReadAsync(isFirst, invocation.Cancellation)
                    ?? throw new CommandException(ExitCode.Failed, $"the process that was to hold the lock ended with {await process.EndAsync(invocation.Cancellation)}");
                if (line.Finding is null)
                    continue;
                if (line.Finding.Verdict != Verdict.Ok)
                    throw new CommandException(ExitCode.Storage, $"no lock in {folder}: {line.Finding.Found}", line.Finding.Fix);
                break;
            }
        }
        catch (TimeoutException)
        {
            throw new CommandException(
                ExitCode.Storage, $"{folder} did not answer within {ProbeProcess.Limit.TotalSeconds:0} s.", "look at the storage's server and the network to it");
        }

        var host = LockHolder.OfThisHost().Host;
        invocation.Terminal.Data($"{host} holds a lock in {folder} until Ctrl-C. Meanwhile run on another host:");
        invocation.Terminal.Data($"    distmigrate doctor {folder} --peer {host}");
        try
        {
            throw new CommandException(ExitCode.Failed, $"the process that held the lock ended with {await process.EndAsync(invocation.Cancellation)}");
        }
        catch (OperationCanceledException) when (invocation.Cancellation.IsCancellationRequested)
        {
            invocation.Terminal.Say("the lock is released");
            return ExitCode.Ok;
        }
    }
}
