namespace DistMigrate.Tests.Lab;

/// <summary>Waiting for a condition with a limit, which is how tests wait.</summary>
public static class Wait
{
    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(5);

    /// <summary>The limit for what takes a moment on an idle machine: long enough for a loaded one.</summary>
    public static readonly TimeSpan Ordinary = TimeSpan.FromSeconds(60);

    /// <summary>Returns as soon as <paramref name="condition"/> holds.</summary>
    /// <param name="condition">Looked at every few milliseconds.</param>
    /// <param name="what">The condition in words, for the message.</param>
    /// <param name="limit">Null: <see cref="Ordinary"/>.</param>
    /// <param name="details">Adds what is known to the message when the limit passes.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="TimeoutException">The condition does not hold within the limit.</exception>
    public static Task UntilAsync(
        Func<bool> condition, string what, TimeSpan? limit = null, Func<string>? details = null, CancellationToken cancellationToken = default) =>
        UntilAsync(() => Task.FromResult(condition()), what, limit, details, cancellationToken: cancellationToken);

    /// <summary>Returns as soon as <paramref name="condition"/> holds.</summary>
    /// <param name="condition">Looked at every few milliseconds.</param>
    /// <param name="what">The condition in words, for the message.</param>
    /// <param name="limit">Null: <see cref="Ordinary"/>.</param>
    /// <param name="details">Adds what is known to the message when the limit passes.</param>
    /// <param name="step">Between two looks, when a few milliseconds are too short for what a look costs.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="TimeoutException">The condition does not hold within the limit.</exception>
    public static async Task UntilAsync(
        Func<Task<bool>> condition, string what, TimeSpan? limit = null, Func<string>? details = null, TimeSpan? step = null,
        CancellationToken cancellationToken = default)
    {
        var most = limit ?? Ordinary;
        var start = TimeProvider.System.GetTimestamp();
        while (!await condition())
        {
            if (TimeProvider.System.GetElapsedTime(start) > most)
            {
                throw new TimeoutException($"Waited {most.TotalSeconds:0.#} s in vain until {what}. {details?.Invoke()}");
            }

            await Task.Delay(step ?? Step, cancellationToken);
        }
    }
}
