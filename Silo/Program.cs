using DistMigrate.Grains.Metrics;
using DistMigrate.Posix;
using DistMigrate.Silo;
using StackExchange.Redis;

if (!SiloArguments.TryParse(args, out var arguments, out var error))
{
    Console.Error.WriteLine(error);
    return error == SiloArguments.Help ? 0 : 2;
}

switch (arguments.Task)
{
    case SiloTask.DescribeSettings:
        Console.Write(SettingsReference.ToMarkdown());
        return 0;
    case SiloTask.DescribeMetrics:
        Console.WriteLine(MetricDocument.ToMarkdown());
        return 0;
    case SiloTask.CheckSettings:
        return CheckSettings(arguments);
}

if (arguments.Background)
    BackgroundProcess.Detach(arguments.StateFolder);
using var hostLock = SiloLock.TryTake(arguments.StateFolder);
if (hostLock is null)
{
    Console.Error.WriteLine($"error: a silo already runs with the state folder {arguments.StateFolder}. Use that one, or give this one another folder with --state.");
    return 7;
}

try
{
    await using var silo = SiloApplication.Build(arguments);
    await silo.RunAsync(hostLock);
    return 0;
}
catch (SettingsException e)
{
    return RefuseSettings(e);
}
catch (Exception e) when (e is RedisException or OrleansException)
{
    Console.Error.WriteLine($"error: the silo could not join its cluster: {e.Message} Look whether Redis runs at Cluster:ConnectionString and takes its password.");
    return 1;
}
catch (Exception e) when (e is ErrnoException or InvalidOperationException or IOException)
{
    Console.Error.WriteLine($"error: the silo could not run: {e.Message}");
    return 1;
}

static int CheckSettings(SiloArguments arguments)
{
    try
    {
        SettingsReader.Load(arguments.ConfigFile, Environment.GetEnvironmentVariables());
        return 0;
    }
    catch (SettingsException e)
    {
        return RefuseSettings(e);
    }
}

// 2 as for a command line that makes no sense: the service is not started again with it.
static int RefuseSettings(SettingsException e)
{
    Console.Error.WriteLine($"error: {e.Message}");
    return 2;
}
