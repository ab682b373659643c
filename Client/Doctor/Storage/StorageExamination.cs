namespace DistMigrate.Client.Doctor.Storage;

/// <summary>Examines one folder through a process of its own.</summary>
internal sealed class StorageExamination(Surroundings surroundings, string folder, string? peer, IReadOnlyList<string>? roots)
{
    /// <summary>The id of the check whether silos may write there.</summary>
    public const string StorageRoot = "storage-root";

    private readonly Subject _subject = new(SubjectKind.Storage, folder);

    /// <summary>Makes all checks.</summary>
    /// <param name="begins">Told the id of each check that begins.</param>
    /// <param name="cancellation">Ctrl-C.</param>
    public async IAsyncEnumerable<CheckResult> RunAsync(
        Action<string> begins, [System.Runtime.CompilerServices.EnumeratorCancellation] CancellationToken cancellation)
    {
        await using var process = ProbeProcess.Start(surroundings, peer is null ? [folder] : [folder, "--peer", peer]);
        var open = StorageChecks.All.Select(check => check.Id).ToList();
        var isFirst = true;
        while (true)
        {
            ProbeLine? line;
            string? fault = null;
            try
            {
                line = await process.ReadAsync(isFirst, cancellation);
                if (line is null && open.Count > 0)
                    fault = await process.EndAsync(cancellation);
            }
            catch (TimeoutException)
            {
                line = null;
                fault = "";
            }

            if (fault is not null)
            {
                yield return new CheckResult(_subject, open[0], fault.Length > 0 ? Ended(fault) : Hung(process.Pid));
                foreach (var id in open.Skip(1))
                    yield return new CheckResult(_subject, id, Finding.NotTried("The storage does not answer."));
                yield break;
            }

            if (line is null)
                yield break;
            isFirst = false;
            if (line.Finding is not { } finding)
            {
                begins(line.Check);
                continue;
            }

            open.Remove(line.Check);
            yield return new CheckResult(_subject, line.Check, finding);
            if (line.Check == StorageChecks.All[0].Id)
                yield return new CheckResult(_subject, StorageRoot, JudgeRoot(line.Resolved ?? folder, finding, roots));
        }
    }

    /// <summary>Whether a folder lies below one of the storage roots of this host's silo.</summary>
    internal static Finding JudgeRoot(string resolved, Finding folder, IReadOnlyList<string>? roots) =>
        folder.Verdict != Verdict.Ok ? Finding.NotTried("Something above must be mended first.")
        : roots is null ? Finding.NotTried("No silo of this host answers that could tell its storage roots.")
        : roots.FirstOrDefault(root => MountTable.IsBelow(resolved, root)) is { } root ? Finding.Ok($"This host's silo takes images below {root}.")
        : Finding.Failed(
            $"It is below none of the storage roots of this host's silo ({string.Join(", ", roots)}).", "the silo refuses images elsewhere",
            "add it to Storage:Roots in the configuration of every host's silo, and restart them");

    private static Finding Hung(int pid) => Finding.Failed(
        $"It did not answer within {ProbeProcess.Limit.TotalSeconds:0} s.", "a save there would be paused, and a guest that it keeps stopped would wait for it",
        $"look at the storage's server and the network to it; process {pid} waits on, removes its files once it is answered, and ends");

    private static Finding Ended(string how) => Finding.Failed(
        $"The process that looked ended with {how}", "what it did not look at is not known", "run it again; if it ends so again, report it");
}
