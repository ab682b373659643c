using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>Obeys the coordinator with the highest token; refuses older ones, and equal ones with another id. Thread-safe.</summary>
internal sealed class TokenGate(TimeProvider time)
{
    private readonly Lock _gate = new();
    private FencingToken? _current;
    private long _obeyed = time.GetTimestamp();

    /// <summary>How long no command was obeyed.</summary>
    public TimeSpan Silence => time.GetElapsedTime(Interlocked.Read(ref _obeyed));

    /// <exception cref="MigrationException">A newer coordinator is in charge.</exception>
    public void Obey(FencingToken token)
    {
        lock (_gate)
        {
            if (_current is not null && (token.Number < _current.Number || (token.Number == _current.Number && token.Id != _current.Id)))
            {
                throw new MigrationException(FailureReason.Fenced,
                    $"A newer coordinator (token {_current.Number}) is in charge of this migration; this one (token {token.Number}) is no longer obeyed.");
            }

            _current = token;
            Interlocked.Exchange(ref _obeyed, time.GetTimestamp());
        }
    }
}
