using System.Diagnostics;
using System.Text.Json;
using DistMigrate.Client.Commands;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>The process that looks at one folder, as the command sees it: no answer in time is an answer, too.</summary>
internal sealed class ProbeProcess : IAsyncDisposable
{
    /// <summary>How long a check may take.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromSeconds(10);

    private static readonly TimeSpan StartLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(2);

    private readonly Process _process;
    private readonly TimeProvider _time;
    private readonly Task<string> _errors;

    private ProbeProcess(Process process, TimeProvider time)
    {
        _process = process;
        _time = time;
        _errors = process.StandardError.ReadToEndAsync();
    }

    /// <summary>Its process; it may outlive the command while its storage hangs.</summary>
    public int Pid => _process.Id;

    /// <summary>Starts one.</summary>
    /// <exception cref="CommandException">It cannot be started.</exception>
    public static ProbeProcess Start(Surroundings surroundings, IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(OwnProgram.PathOf(surroundings), [DoctorProbeCommand.Name, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,

            // The folder is named whole; a process that outlives the command keeps nothing else busy.
            WorkingDirectory = "/",
        };
        try
        {
            return new ProbeProcess(Process.Start(start) ?? throw new InvalidOperationException("no process was started"), surroundings.Time);
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or InvalidOperationException)
        {
            throw new CommandException(ExitCode.Failed, $"{start.FileName} cannot be started: {e.Message}", "check that DistMigrate is installed whole", e);
        }
    }

    /// <summary>Reads the next line; null at the end.</summary>
    /// <exception cref="TimeoutException">None came in time.</exception>
    public async Task<ProbeLine?> ReadAsync(bool isFirst, CancellationToken cancellation)
    {
        var line = await _process.StandardOutput.ReadLineAsync(cancellation).AsTask().WaitAsync(isFirst ? StartLimit : Limit, _time, cancellation);
        return line is null ? null : JsonSerializer.Deserialize(line, ProbeLineJson.Default.ProbeLine);
    }

    /// <summary>Waits for its end, and tells the exit code and what it said on standard error.</summary>
    public async Task<string> EndAsync(CancellationToken cancellation)
    {
        await _process.WaitForExitAsync(cancellation);
        return $"exit code {_process.ExitCode}. {(await _errors).Trim()}".TrimEnd();
    }

    /// <summary>Lets it end, and waits for that a little: with storage that answers, its files are gone then.</summary>
    public async ValueTask DisposeAsync()
    {
        _process.StandardInput.Close();
        try
        {
            await _process.WaitForExitAsync().WaitAsync(EndLimit, _time);
        }
        catch (TimeoutException)
        {
            // It waits for its storage, and ends once that answers.
        }
        _process.Dispose();
    }
}
