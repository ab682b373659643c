using System.Diagnostics;
using DistMigrate.Contracts;
using DistMigrate.Grains.Tracing;
using Microsoft.Extensions.Logging;

namespace DistMigrate.Grains;

/// <summary>
/// Runs the steps of one migration on its host, apart from any grain's turn; each step once. A step that is asked for again is not
/// begun again: the caller waits for it a little and is told how far it is. Thread-safe.
/// </summary>
internal sealed partial class StepRunner(TimeProvider time, ILogger logger) : IDisposable
{
    private readonly Lock _gate = new();
    private readonly Dictionary<string, Task> _steps = [];
    private readonly CancellationTokenSource _cancel = new();

    /// <summary>Begins a step unless it was, and waits for it up to a limit.</summary>
    /// <returns>How far it is, and its failure.</returns>
    public async Task<(HostStep Step, MigrationException? Failure)> RunAsync(string step, Func<CancellationToken, Task> work, TimeSpan slice)
    {
        Task task;
        lock (_gate)
        {
            if (!_steps.TryGetValue(step, out task!))
            {
                var parent = Traces.Parent;
                _steps[step] = task = Task.Run(() => TraceAsync(step, parent, work));
            }
        }

        await Task.WhenAny(task, Task.Delay(slice, time));
        if (!task.IsCompleted)
            return (HostStep.Working, null);
        if (task.IsCompletedSuccessfully)
            return (HostStep.Done, null);
        var error = task.Exception?.InnerException ?? new OperationCanceledException();
        var failure = FailureTranslation.Translate(error);
        LogFailed(logger, step, failure.Reason, error);
        return (HostStep.Failed, failure);
    }

    /// <summary>Asks the steps under way to end, and waits for them. A call to storage that hangs does not end.</summary>
    /// <param name="except">The step that asks; null for none.</param>
    /// <param name="limit">How long to wait.</param>
    public async Task CancelAsync(string? except, TimeSpan limit)
    {
        Task[] steps;
        lock (_gate)
            steps = [.. _steps.Where(step => step.Key != except).Select(step => step.Value)];
        await _cancel.CancelAsync();
        await Task.WhenAny(Task.WhenAll(steps), Task.Delay(limit, time));
    }

    public void Dispose() => _cancel.Dispose();

    private async Task TraceAsync(string step, string? parent, Func<CancellationToken, Task> work)
    {
        using var span = parent is null ? null : Traces.Start($"step {step.Split(' ')[0].ToLowerInvariant()}", parent);
        span?.SetTag("distmigrate.step", step);
        try
        {
            await work(_cancel.Token);
        }
        catch (Exception e)
        {
            span?.SetStatus(ActivityStatusCode.Error, e.Message);
            throw;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "Step {Step} failed: {Reason}")]
    private static partial void LogFailed(ILogger logger, string step, FailureReason reason, Exception error);
}
