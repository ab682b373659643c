using DistMigrate.Client.Values;
using DistMigrate.Contracts;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using Orleans.Configuration;
using StackExchange.Redis;

namespace DistMigrate.Client.Connection;

/// <summary>
/// A connection to the cluster. Calls that fail because a silo or its gateway went away are repeated for a while, over a new
/// connection: every call of ours may be repeated without doing anything twice.
/// </summary>
internal sealed class SiloConnection : IAsyncDisposable
{
    private static readonly TimeSpan ResponseTimeout = TimeSpan.FromSeconds(10);
    private static readonly TimeSpan RetryLimit = TimeSpan.FromSeconds(30);
    private static readonly TimeSpan RetryPause = TimeSpan.FromSeconds(1);

    /// <summary>How long a first connection to a cluster is tried: a busy one may miss the response time-out once. One that nobody can be
    /// reached at answers at once, and is not tried again.</summary>
    private static readonly TimeSpan OpenLimit = TimeSpan.FromSeconds(15);
    private static readonly TimeSpan CloseLimit = TimeSpan.FromSeconds(2);

    private readonly ClientSettings _settings;
    private readonly BackgroundSilo? _background;
    private readonly TimeProvider _time;
    private readonly ClientTls? _tls;
    private Action<string> _say;
    private IHost? _client;
    private CancellationTokenSource _lost = new();

    private SiloConnection(
        ClientSettings settings, Surroundings surroundings, IReadOnlyDictionary<string, string> environment, Action<string> say)
    {
        _settings = settings;
        _time = surroundings.Time;
        _say = say;
        _tls = settings.Tls is { } files ? new ClientTls(files) : null;
        _background = settings.IsCluster
            ? null
            : new BackgroundSilo(
                settings.StateFolder,
                () => SiloProgram.Find(settings, surroundings.ProgramFolder),
                environment,
                surroundings.Time,
                message => _say(message));
    }

    /// <summary>The host that the background silo serves; null with a configured cluster.</summary>
    public string? LocalHost { get; private set; }

    /// <summary>
    /// Connects, and starts the background silo first, with <paramref name="environment"/> beside our own variables, when none runs
    /// and no cluster is configured. <paramref name="say"/> takes lines for the user.
    /// </summary>
    /// <exception cref="CommandException">No silo answers.</exception>
    public static async Task<SiloConnection> OpenAsync(
        ClientSettings settings,
        Surroundings surroundings,
        IReadOnlyDictionary<string, string> environment,
        Action<string> say,
        CancellationToken cancellation)
    {
        var connection = new SiloConnection(settings, surroundings, environment, say);
        await connection.RetryAsync(connection.ConnectAsync, settings.IsCluster ? OpenLimit : RetryLimit, cancellation);
        return connection;
    }

    /// <summary>Calls a grain.</summary>
    /// <exception cref="MigrationException">The grain refused.</exception>
    /// <exception cref="CommandException">No silo answered for 30 s.</exception>
    public async Task<T> CallAsync<T>(Func<IGrainFactory, Task<T>> call, CancellationToken cancellation)
    {
        var result = default(T)!;
        await RetryAsync(
            async token =>
            {
                if (_client is null)
                    await ConnectAsync(token);
                // A call already sent cannot be taken back; a caller who gives up does not wait for its answer. Nor is it worth
                // waiting when the gateway is gone: Orleans itself would do so for the whole response time-out.
                var lost = _lost.Token;
                using var either = CancellationTokenSource.CreateLinkedTokenSource(token, lost);
                try
                {
                    result = await call(_client!.Services.GetRequiredService<IGrainFactory>()).WaitAsync(either.Token);
                }
                catch (OperationCanceledException) when (lost.IsCancellationRequested && !token.IsCancellationRequested)
                {
                    throw new ConnectionLostException();
                }
            },
            RetryLimit,
            cancellation);
        return result;
    }

    /// <summary>Sends messages elsewhere until the result is disposed, while a progress view owns the terminal.</summary>
    public IDisposable RedirectMessages(Action<string> say)
    {
        var before = _say;
        _say = say;
        return new Redirection(() => _say = before);
    }

    public async ValueTask DisposeAsync() => await CloseAsync();

    private async Task RetryAsync(Func<CancellationToken, Task> action, TimeSpan limit, CancellationToken cancellation)
    {
        var started = _time.GetTimestamp();
        var told = false;
        while (true)
        {
            try
            {
                await action(cancellation);
                return;
            }
            catch (Exception e) when (IsTransient(e))
            {
                await CloseAsync();
                if (_time.GetElapsedTime(started) + RetryPause >= limit || (limit == OpenLimit && e is not TimeoutException))
                    throw Unreachable(e);
                if (!told)
                    _say($"the connection to the silo failed ({ReasonIn(e)}); trying again for up to {limit.TotalSeconds:0} s");
                told = true;
                await Task.Delay(RetryPause, _time, cancellation);
            }
        }
    }

    private async Task ConnectAsync(CancellationToken cancellation)
    {
        var gateways = _settings.Gateways;
        var clusterId = _settings.ClusterId;
        var serviceId = "distmigrate";
        if (_background is not null)
        {
            var file = await _background.EnsureAsync(cancellation);
            gateways = [file.TryGateway()!];
            clusterId = file.ClusterId!;
            serviceId = file.ServiceId!;
            LocalHost = file.Host;
        }

        var lost = new CancellationTokenSource();
        var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
        builder.Logging.ClearProviders();
        builder.Services.AddSingleton<IHostLifetime, SilentLifetime>();
        builder.UseOrleansClient(client =>
        {
            if (_settings.Redis is { } redis)
                client.UseRedisClustering(options => options.ConfigurationOptions = redis.Clone());
            else
                client.UseStaticClustering([.. gateways]);
            client.Configure<ClusterOptions>(options =>
            {
                options.ClusterId = clusterId;
                options.ServiceId = serviceId;
            });
            client.Configure<ClientMessagingOptions>(options =>
            {
                options.ResponseTimeout = ResponseTimeout;
                options.MaxMessageBodySize = 4 * 1024 * 1024;
            });
            _tls?.AddTo(client);
            client.AddGatewayCountChangedHandler((_, change) =>
            {
                if (change.NumberOfConnectedGateways == 0)
                    lost.Cancel();
            });
            // The retries are ours, where the user is told of them.
            client.UseConnectionRetryFilter((_, _) => Task.FromResult(false));
        });
        var client = builder.Build();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(ResponseTimeout);
        try
        {
            // A gateway that goes away in the middle of the start leaves it waiting for ever.
            await client.StartAsync(limit.Token).WaitAsync(limit.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            client.Dispose();
            throw new TimeoutException();
        }
        catch
        {
            client.Dispose();
            throw;
        }
        _client = client;
        _lost = lost;
    }

    private async Task CloseAsync()
    {
        if (_client is not { } client)
            return;
        _client = null;
        try
        {
            using var limit = new CancellationTokenSource(CloseLimit, _time);
            await client.StopAsync(limit.Token);
        }
        catch (Exception e) when (e is OperationCanceledException || IsTransient(e))
        {
            // The other end is gone; nothing is left to say goodbye to.
        }
        finally
        {
            client.Dispose();
        }
    }

    private CommandException Unreachable(Exception cause) => _background is null
        ? new CommandException(
            ExitCode.Unreachable,
            $"no silo of the configured cluster answers{Place()}: {_tls?.Refusal ?? ReasonIn(cause)}",
            _tls?.Refusal is not null
                ? "show a certificate of that cluster's authority (docs/cluster.md tells how one is made), or leave TLS away when its silos have none"
                : cause is RedisException ? "check that Redis runs there, and that address and password are right"
                : $"check that {(_settings.Redis is null ? "a silo runs" : "Redis and a silo run")} there, that its gateway port is open to this machine, that the cluster id is right" +
                  (_tls is null ? ", and whether its silos take TLS only (set DISTMIGRATE_TLS_CERTIFICATE, _KEY and _AUTHORITY then)" : ""),
            cause)
        : new CommandException(
            ExitCode.Unreachable,
            $"the background silo does not answer: {ReasonIn(cause)}",
            $"see {Path.Combine(_settings.StateFolder, "silo.log")}; migrations that it ran go on or are cleaned up when it runs again",
            cause);

    private string Place() => _settings.Redis is { } redis
        ? $" (Redis at {string.Join(", ", redis.EndPoints.Select(endpoint => Printable.Of(endpoint.ToString() ?? "")))})"
        : $" at {string.Join(", ", _settings.Gateways)}";

    private static bool IsTransient(Exception e) =>
        e is OrleansException or TimeoutException or RedisException or ConnectionLostException;

    private static string ReasonIn(Exception e)
    {
        if (e is TimeoutException)
            return $"no answer within {ResponseTimeout.TotalSeconds:0} s";
        var cause = e is AggregateException { InnerException: { } inner } ? inner : e;
        return cause is SiloUnavailableException && cause.Message.StartsWith("Could not find any gateway", StringComparison.Ordinal)
            ? "no silo of that cluster id is up"
            : Printable.Of(cause.Message.Split('\n')[0].Split(" To allow this multiplexer")[0].Trim().TrimEnd('.'));
    }

    private sealed class ConnectionLostException() : Exception("the gateway hung up");

    private sealed class Redirection(Action end) : IDisposable
    {
        public void Dispose() => end();
    }

    /// <summary>Leaves Ctrl-C to the command.</summary>
    private sealed class SilentLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }
}
