using System.Globalization;
using DistMigrate.Bench;

if (args is [ControlSilo.Command, var state, var places])
{
    await ControlSilo.RunAsync(state, int.Parse(places, CultureInfo.InvariantCulture));
    return 0;
}

if (!BenchOptions.TryParse(args, out var options, out var error))
{
    Console.Error.WriteLine(error);
    return 2;
}

using var stop = new CancellationTokenSource();
Console.CancelKeyPress += (_, interrupt) =>
{
    // Guests and silo are ended on the way out.
    interrupt.Cancel = true;
    stop.Cancel();
};

try
{
    Console.WriteLine(MachineFacts.Describe(options.Folder));
    var all = options.What == "all";
    if (all || options.What == "saves")
        await SavesBench.RunAsync(options, stop.Token);
    if (all || options.What == "sparse")
        await SparseBench.RunAsync(options, stop.Token);
    if (all || options.What == "memory")
        await MemoryBench.RunAsync(options, stop.Token);
    if (all || options.What == "steps")
        await StepsBench.RunAsync(options, stop.Token);
    if (all || options.What == "epochs")
        await EpochsBench.RunAsync(options, stop.Token);
    if (options.What == "live")
        await LiveBench.RunAsync(options, stop.Token);
    if (options.What == "receiver")
        await ReceiverBench.RunAsync(options);
    if (options.What == "lazy")
        await LazyBench.RunAsync(options, stop.Token);
    if (options.What == "faults")
        await FaultsBench.RunAsync(stop.Token);
    if (options.What == "control")
        await ControlBench.RunAsync(options, stop.Token);
    if (options.What == "scrape")
        await ScrapeBench.RunAsync(options, stop.Token);
    if (all || options.What == "micro")
        MicroBench.Run();
    return 0;
}
catch (OperationCanceledException) when (stop.IsCancellationRequested)
{
    return 130;
}
catch (InvalidOperationException e)
{
    Console.Error.WriteLine($"error: {e.Message}");
    return 1;
}
finally
{
    options.Cleanup();
}
