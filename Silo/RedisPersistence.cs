using StackExchange.Redis;

namespace DistMigrate.Silo;

/// <summary>Says at the start when Redis keeps nothing: a power cut would then take membership and every decision with it.</summary>
internal sealed partial class RedisPersistence(ClusterSettings settings, ILogger<RedisPersistence> logger) : BackgroundService
{
    protected override async Task ExecuteAsync(CancellationToken stoppingToken)
    {
        // The library takes INFO for a command of administrators.
        var options = settings.ToRedisOptions();
        options.AllowAdmin = true;
        try
        {
            await using var redis = await ConnectionMultiplexer.ConnectAsync(options);
            foreach (var server in redis.GetServers().Where(server => server is { IsConnected: true, IsReplica: false }))
            {
                var facts = (await server.InfoAsync("persistence")).SelectMany(section => section).ToDictionary(fact => fact.Key, fact => fact.Value);
                if (facts.GetValueOrDefault("aof_enabled") != "1")
                    LogNotPersistent(logger, server.EndPoint.ToString() ?? "");
            }
        }
        catch (RedisException e)
        {
            LogNotChecked(logger, e.GetType().Name);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning,
        Message = "Redis at {Server} is not persistent: its end would take membership and the state of every migration. Set 'appendonly yes' there")]
    private static partial void LogNotPersistent(ILogger logger, string server);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Whether Redis is persistent could not be found out ({Error})")]
    private static partial void LogNotChecked(ILogger logger, string error);
}
