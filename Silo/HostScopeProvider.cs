namespace DistMigrate.Silo;

/// <summary>Puts the host around every line, for the JSON format, which tells nothing but the line and its scopes.</summary>
/// <param name="host">The host's name.</param>
internal sealed class HostScopeProvider(string host) : IExternalScopeProvider
{
    private readonly LoggerExternalScopeProvider _scopes = new();
    private readonly KeyValuePair<string, object?>[] _host = [new("Host", host)];

    public void ForEachScope<TState>(Action<object?, TState> callback, TState state)
    {
        callback(_host, state);
        _scopes.ForEachScope(callback, state);
    }

    public IDisposable Push(object? state) => _scopes.Push(state);
}
