using StackExchange.Redis;

namespace DistMigrate.Silo;

/// <summary>Says at the start when Redis keeps nothing: a power cut would then take membership and every decision with it.</summary>
internal sealed partial class RedisPersistence(ClusterSettings settings, TimeProvider time, ILogger<RedisPersistence> logger) : BackgroundService
{
    private static readonly TimeSpan Every = TimeSpan.FromSeconds(10);

    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // The library takes INFO for a command of administrators.
        var options = settings.ToRedisOptions();
        options.AllowAdmin = true;
        using var timer = new PeriodicTimer(Every, time);
        for (var isTold = false; !await TryCheckAsync(options, isTold); isTold = true)
            await timer.WaitForNextTickAsync(stoppingToken);
    }

    /// <returns>Whether a server has answered.</returns>
    private async Task<bool> TryCheckAsync(ConfigurationOptions options, bool isTold)
    {
        try
        {
            await using var redis = await ConnectionMultiplexer.ConnectAsync(options);
            var servers = redis.GetServers().Where(server => server is { IsConnected: true, IsReplica: false }).ToList();
            foreach (var server in servers)
            {
                var facts = (await server.InfoAsync("persistence")).SelectMany(section => section).ToDictionary(fact => fact.Key, fact => fact.Value);
                if (facts.GetValueOrDefault("aof_enabled") != "1")
                    LogNotPersistent(logger, server.EndPoint.ToString() ?? "");
            }

            if (servers.Count == 0 && !isTold)
                LogNotChecked(logger, "none is connected");
            return servers.Count > 0;
        }
        catch (Exception e) when (e is RedisException or RedisCommandException or TimeoutException)
        {
            if (!isTold)
                LogNotChecked(logger, e.GetType().Name);
            return false;
        }
    }

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Redis at {Server} is not persistent: its end would take membership and the state of every migration. Set 'appendonly yes' there")]
    private static partial void LogNotPersistent(ILogger logger, string server);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Whether Redis is persistent could not be found out yet ({Error}); it is asked again")]
    private static partial void LogNotChecked(ILogger logger, string error);
}
