using System.Globalization;
using Xunit;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// Watches what a guest prints where it was and where it goes to, and proves that it never ran at both places: once the target has printed
/// its first character the source prints nothing more, unless the target's QEMU had ended; and when the source went on after that, the
/// target prints nothing more.
/// </summary>
public sealed class OneRunsOnly : IAsyncDisposable
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(5);

    private readonly SerialLog _source;
    private readonly Func<SerialLog?> _target;
    private readonly TimeProvider _time;
    private readonly List<Sample> _samples = [];
    private readonly Lock _gate = new();
    private readonly CancellationTokenSource _end = new();
    private readonly Task _watching;
    private readonly long _start;

    /// <summary>Begins to watch.</summary>
    /// <param name="source">The guest where it runs.</param>
    /// <param name="target">The guest where it goes to; null as long as there is none.</param>
    /// <param name="time">The clock; the machine's by default.</param>
    public OneRunsOnly(SerialLog source, Func<SerialLog?> target, TimeProvider? time = null)
    {
        _source = source;
        _target = target;
        _time = time ?? TimeProvider.System;
        _start = _time.GetTimestamp();
        _watching = Task.Run(WatchAsync);
    }

    /// <summary>What both had printed when that changed last.</summary>
    public Sample Last
    {
        get
        {
            lock (_gate)
                return _samples.Count > 0 ? _samples[^1] : default;
        }
    }

    /// <summary>Ends the watching, and fails the test when both ran.</summary>
    public async Task ProveAsync()
    {
        await EndAsync();
        Take();
        if (Fault(_samples) is { } fault)
            Assert.Fail(fault);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await EndAsync();
        _end.Dispose();
    }

    /// <summary>What is wrong with a course of samples, with the course; null when nothing is.</summary>
    /// <param name="samples">In the order of their times.</param>
    public static string? Fault(IReadOnlyList<Sample> samples)
    {
        ArgumentNullException.ThrowIfNull(samples);
        bool targetRan = false, sourceRanAgain = false;
        var before = new Sample(default, 0, 0, false);
        foreach (var now in samples)
        {
            if (now.Target > before.Target && sourceRanAgain)
                return Describe($"the target went on at {Text(now.At)}, although the source had gone on after its end", samples);

            // The source may have printed its last between two looks, of which the second one saw the target's first.
            if (now.Source > before.Source && targetRan)
            {
                if (!now.TargetHasEnded)
                    return Describe($"the source went on at {Text(now.At)}, although the target had run and had not ended", samples);
                sourceRanAgain = true;
            }

            targetRan |= now.Target > 0;
            before = now;
        }

        return null;
    }

    private static string Describe(string fault, IReadOnlyList<Sample> samples) =>
        $"The guest ran at both places: {fault}.\n{string.Join('\n', samples.Select(sample => string.Create(
            CultureInfo.InvariantCulture,
            $"{Text(sample.At)}  source {sample.Source}  target {sample.Target}{(sample.TargetHasEnded ? ", ended" : "")}")))}";

    private static string Text(TimeSpan at) => string.Create(CultureInfo.InvariantCulture, $"{at.TotalSeconds:0.000} s");

    private async Task WatchAsync()
    {
        using var timer = new PeriodicTimer(Step, _time);
        try
        {
            do
                Take();
            while (await timer.WaitForNextTickAsync(_end.Token));
        }
        catch (OperationCanceledException)
        {
            // The test has seen enough.
        }
    }

    /// <summary>The order matters: what is read of the source is no older than the target's first character, and an end no older than what it allows.</summary>
    private void Take()
    {
        var target = _target();
        var printed = target?.Length ?? 0;
        var sample = new Sample(default, _source.Length, printed, target?.HasEnded ?? false);
        if ((Last with { At = default }) == sample)
            return;
        lock (_gate)
            _samples.Add(sample with { At = _time.GetElapsedTime(_start) });
    }

    private async Task EndAsync()
    {
        if (!_watching.IsCompleted)
            await _end.CancelAsync();
        await _watching;
    }

    /// <summary>What both had printed at a moment.</summary>
    /// <param name="At">The moment, since the watching began.</param>
    /// <param name="Source">Characters of the source.</param>
    /// <param name="Target">Characters of the target.</param>
    /// <param name="TargetHasEnded">Whether the target's QEMU had ended, looked at last.</param>
    public readonly record struct Sample(TimeSpan At, long Source, long Target, bool TargetHasEnded);
}
