using DistMigrate.Contracts;
using DistMigrate.Grains;

namespace DistMigrate.Silo.Page;

/// <summary>
/// What the page asks of one part of the cluster again and again. There is one call under way at most, whoever waits for it, so that a part
/// that hangs gathers no calls; nobody waits longer than the limit; and while no answer comes the last one stands.
/// </summary>
/// <param name="what">The part, for people: such as <c>host hv1</c>.</param>
/// <param name="ask">The call.</param>
/// <param name="limit">How long to wait for it.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Told when a part falls silent.</param>
internal sealed partial class Question<T>(string what, Func<Task<T>> ask, TimeSpan limit, TimeProvider time, ILogger logger) : IQuestion
    where T : class?
{
    private readonly Lock _gate = new();
    private Task _call = Task.CompletedTask;
    private Answer<T> _answer = new(null, null, null);

    public DateTimeOffset LastAsked { get; private set; } = time.GetUtcNow();

    /// <summary>What is known without asking.</summary>
    public Answer<T> Last
    {
        get
        {
            lock (_gate)
                return _answer;
        }
    }

    /// <summary>Asks, and gives what is known by then.</summary>
    public async Task<Answer<T>> AskAsync()
    {
        Task call;
        DateTimeOffset asked;
        lock (_gate)
        {
            asked = LastAsked = time.GetUtcNow();
            if (_call.IsCompleted)
                _call = CallAsync(asked);
            call = _call;
        }

        try
        {
            await call.WaitAsync(limit, time);
        }
        catch (TimeoutException)
        {
            // The call goes on, and its answer is taken when it comes.
            FallSilent(asked, $"No answer came within {limit.TotalSeconds:0.#} s.", exception: null);
        }

        return Last;
    }

    /// <summary>Never fails: what went wrong is part of the answer.</summary>
    private async Task CallAsync(DateTimeOffset asked)
    {
        // A page that is left open in a browser must not keep a silo in the background alive.
        RequestContext.Set(MigrationSupervisor.RoundMark, true);
        try
        {
            var value = await ask();
            lock (_gate)
                _answer = new Answer<T>(value, time.GetUtcNow(), null);
        }
        catch (MigrationException e)
        {
            FallSilent(asked, e.Message, e);
        }
        catch (Exception e)
        {
            // The text of other errors may hold more than the page is to show.
            FallSilent(asked, $"The call failed ({e.GetType().Name}); the silo's log has more.", e);
        }
    }

    private void FallSilent(DateTimeOffset asked, string error, Exception? exception)
    {
        lock (_gate)
        {
            if (_answer.Silence is null)
                LogSilent(logger, what, error, exception);
            _answer = _answer with { Silence = new Silence(what, _answer.Silence?.Since ?? asked, _answer.At, error) };
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The status page gets no answer from {What}: {Error}")]
    private static partial void LogSilent(ILogger logger, string what, string error, Exception? exception);
}

/// <summary>A question, whatever its answer is.</summary>
internal interface IQuestion
{
    /// <summary>When somebody wanted to know it last.</summary>
    DateTimeOffset LastAsked { get; }
}

/// <summary>What is known of a part of the cluster.</summary>
/// <param name="Value">Its last answer; null when none came yet.</param>
/// <param name="At">When that came.</param>
/// <param name="Silence">Since when it does not answer; null when it does.</param>
internal sealed record Answer<T>(T? Value, DateTimeOffset? At, Silence? Silence);
