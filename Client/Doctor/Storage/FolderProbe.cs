using System.Text.Json;
using DistMigrate.Posix;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>
/// The process that looks at one folder. A call to hung storage cannot be interrupted, and its process cannot end before it returns; so
/// it is not the command's own. It ends when its standard input does, and in any case removes its files first.
/// </summary>
internal sealed class FolderProbe
{
    /// <summary>The id of the finding that tells of files that could not be removed.</summary>
    public const string LeftBehind = "left-behind";

    /// <summary>The id of the finding that tells that the lock is held.</summary>
    public const string Hold = "hold";

    private readonly StorageScene _scene;
    private readonly TextWriter _output;
    private readonly CancellationTokenSource _end;

    private FolderProbe(StorageScene scene, TextWriter output, CancellationTokenSource end)
    {
        _scene = scene;
        _output = output;
        _end = end;
    }

    /// <summary>Makes all checks, or holds the lock until the input ends.</summary>
    public static int Run(string folder, string? peer, bool hold, Surroundings surroundings, TextReader input)
    {
        // Ctrl-C at the terminal is the command's, which then closes the input.
        Libc.LeaveSession();
        var end = new CancellationTokenSource();
        new Thread(() =>
        {
            input.ReadToEnd();
            end.Cancel();
        })
        { IsBackground = true }.Start();
        var scene = new StorageScene(folder, OwnProgram.PathOf(surroundings), peer, surroundings.Time, end.Token);
        var probe = new FolderProbe(scene, surroundings.Out, end);
        try
        {
            if (hold)
                probe.HoldLock();
            else
                probe.Check();
        }
        catch (OperationCanceledException) when (end.IsCancellationRequested)
        {
            // Nobody waits for the rest.
        }
        finally
        {
            if (scene.Files.RemoveAll() is { Count: > 0 } left)
                probe.Tell(new ProbeLine(LeftBehind, Finding.Warning(
                    $"{string.Join(" and ", left)} could not be removed.", "they are of no use to anybody", "remove them when the storage takes changes again")));
        }
        return ExitCode.Ok;
    }

    private void Check()
    {
        var isWorthwhile = true;
        foreach (var check in StorageChecks.All)
        {
            _end.Token.ThrowIfCancellationRequested();
            Tell(new ProbeLine(check.Id));
            var finding = isWorthwhile ? StorageChecks.Run(check, _scene) : Finding.NotTried("Something above must be mended first.");
            isWorthwhile &= !(check.IsNeeded && finding.Verdict == Verdict.Failed);
            Tell(new ProbeLine(check.Id, finding, _scene.Resolved));
        }
    }

    private void HoldLock()
    {
        Tell(new ProbeLine(Hold));
        var path = ProbeFiles.SharedLock(_scene.Folder);
        Descriptor? held = null;
        try
        {
            Tell(new ProbeLine(Hold, Take(path, ref held)));
            if (held is not null)
                _end.Token.WaitHandle.WaitOne();
        }
        finally
        {
            if (held is not null)
            {
                // While it is held, so that nobody's file of this name is removed but ours.
                File.Delete(path);
                held.Dispose();
            }
        }
    }

    private static Finding Take(string path, ref Descriptor? held)
    {
        try
        {
            var file = Libc.Open(path, OpenFlags.ReadWrite | OpenFlags.Create);
            if (!Libc.TryLock(file))
            {
                using (file)
                {
                    var bytes = new byte[4096];
                    var holder = LockHolder.TryParse(bytes.AsSpan(0, Libc.PRead(file, bytes, 0)));
                    return Finding.Failed(
                        $"{holder?.Host ?? "Another process"} holds the lock already.", "one host holds it, the others look", "end the --hold there, or run --peer here");
                }
            }

            held = file;
            Libc.Truncate(file, 0);
            Libc.PWriteExactly(file, LockHolder.OfThisHost().ToBytes(), 0);
            Libc.FSync(file);
            return Finding.Ok("The lock is held.");
        }
        catch (ErrnoException e)
        {
            return StorageRefusal.Explain(e);
        }
    }

    private void Tell(ProbeLine line)
    {
        try
        {
            _output.WriteLine(JsonSerializer.Serialize(line, ProbeLineJson.Default.ProbeLine));
            _output.Flush();
        }
        catch (IOException)
        {
            // The command has gone, so nobody waits for the rest.
            _end.Cancel();
        }
    }
}
