using DistMigrate.Client.Commands;
using DistMigrate.Client.Doctor.Guests;
using DistMigrate.Client.Doctor.Hosts;
using DistMigrate.Client.Doctor.Storage;
using DistMigrate.Client.Output;

namespace DistMigrate.Client.Doctor;

/// <summary>One run of <c>distmigrate doctor</c>: this host, then the guest, then the folders, one check after another.</summary>
internal sealed class DoctorRun(Invocation invocation, DoctorOutput output)
{
    private static readonly TimeSpan Limit = ProbeProcess.Limit;

    /// <summary>Examines what is named.</summary>
    /// <returns>0 when nothing failed, 10 when a folder did, 3 when only the host or the guest did.</returns>
    public static async Task<int> RunAsync(Invocation invocation, IReadOnlyList<string> folders, string? socket, string? peer)
    {
        await using var output = new DoctorOutput(invocation.Terminal);
        var run = new DoctorRun(invocation, output);
        var roots = await run.ExamineHostAsync();
        if (socket is not null)
            await run.ExamineGuestAsync(socket);
        foreach (var folder in folders)
            await run.ExamineStorageAsync(folder, peer, roots);
        output.Finish(folders.Count == 0);
        return CodeOf(output.Results);
    }

    internal static int CodeOf(IReadOnlyList<CheckResult> results)
    {
        var failed = results.Where(result => result.Finding.Verdict == Verdict.Failed).ToList();
        return failed.Count == 0 ? ExitCode.Ok
            : failed.Any(result => result.Subject.Kind == SubjectKind.Storage) ? ExitCode.Storage
            : ExitCode.Refused;
    }

    private async Task<IReadOnlyList<string>?> ExamineHostAsync()
    {
        var scene = new HostScene(invocation);
        var subject = new Subject(SubjectKind.Host, Environment.MachineName);
        output.Begin(subject);
        foreach (var check in HostChecks.All)
            await LookAsync(subject, check.Id, cancellation => check.LookAsync(scene, cancellation));
        return scene.StorageRoots;
    }

    private async Task ExamineGuestAsync(string socket)
    {
        await using var scene = new GuestScene(socket);
        var subject = new Subject(SubjectKind.Guest, socket);
        output.Begin(subject);
        var answers = true;
        foreach (var check in GuestChecks.All)
        {
            if (answers)
                await LookAsync(subject, check.Id, cancellation => check.LookAsync(scene, cancellation));
            else
                output.Add(new CheckResult(subject, check.Id, Finding.NotTried("The monitor must answer first.")));
            answers = scene.Facts is not null;
        }
    }

    private async Task ExamineStorageAsync(string folder, string? peer, IReadOnlyList<string>? roots)
    {
        output.Begin(new Subject(SubjectKind.Storage, folder));
        await foreach (var result in new StorageExamination(invocation.Surroundings, folder, peer, roots).RunAsync(output.Looking, invocation.Cancellation))
            output.Add(result);
    }

    /// <summary>Makes one check on a thread of its own, within the limit.</summary>
    private async Task LookAsync(Subject subject, string id, Func<CancellationToken, Task<Finding>> lookAsync)
    {
        output.Looking(id);
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(invocation.Cancellation);
        limit.CancelAfter(Limit);
        var work = Task.Factory.StartNew(() => lookAsync(limit.Token), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap();
        Finding finding;
        try
        {
            // A little more, for a check that has its own words for a time-out; one that is interrupted ends what it started.
            finding = await work.WaitAsync(Limit + TimeSpan.FromSeconds(1), invocation.Time);
        }
        catch (Exception e) when (e is TimeoutException or OperationCanceledException && !invocation.Cancellation.IsCancellationRequested)
        {
            finding = Finding.Failed($"It did not answer within {Limit.TotalSeconds:0} s.", "what waits there, a silo would wait for, too", "look at what it is, and try again");
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or CommandException)
        {
            finding = Finding.Failed(e.Message, "what cannot be looked at, a silo could not use either", "run this as the silo's user");
        }
        invocation.Cancellation.ThrowIfCancellationRequested();
        output.Add(new CheckResult(subject, id, finding));
    }
}
