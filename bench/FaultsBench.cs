using System.Globalization;
using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Bench;

/// <summary>
/// The same faults of storage, in the middle of a save, for QEMU's own save and for the product: does the guest live, is the work kept,
/// is there an image in the end?
/// </summary>
internal static class FaultsBench
{
    private const int GuestMiB = 48;
    private const int MiBPerSecond = 8;
    private const int LongestMessage = 160;

    /// <summary>How long a fault lasts at most: long enough for a client of GlusterFS to give its server up.</summary>
    private static readonly TimeSpan FaultLimit = (2 * GlusterStorage.PingTimeout) + TimeSpan.FromSeconds(5);

    /// <summary>How long a save may take to end after the repair.</summary>
    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(90);

    private static readonly GuestRecipe Recipe = new() { MiB = GuestMiB, Boot = new SelfCheckBoot { Seed = 1 } };

    public static async Task RunAsync(CancellationToken cancellationToken)
    {
        if (GlusterStorage.Missing is { } missing)
            throw new InvalidOperationException(missing);
        (string Name, Func<QemuProcess, string, Task<IFaultedSave>> MakeAsync)[] ways =
        [
            ("QEMU mapped-ram", (guest, image) => Task.FromResult<IFaultedSave>(new QemuFaultedSave(guest, image, 0, MiBPerSecond))),
            ("QEMU mapped-ram, multifd 4", (guest, image) => Task.FromResult<IFaultedSave>(new QemuFaultedSave(guest, image, 4, MiBPerSecond))),
            ("distmigrate", async (guest, image) => new ProductFaultedSave(
                await Product.StartAsync(Path.GetDirectoryName(image)!, cancellationToken), guest, image, MiBPerSecond)),
        ];
        List<string[]> rows = [];
        foreach (var (fault, makeStorageAsync) in FaultyStorage.All)
        {
            foreach (var (way, makeSaveAsync) in ways)
            {
                await using var storage = await makeStorageAsync();
                await using var guest = await QemuProcess.StartAsync(Recipe, cancellationToken);
                await guest.WaitUntilReadyAsync(cancellationToken: cancellationToken);
                await using var save = await makeSaveAsync(guest, Path.Combine(storage.Path, "image"));
                string[] row = [fault, way, .. await RunAsync(storage, guest, save, cancellationToken)];
                rows.Add(row);
                await Console.Error.WriteLineAsync(string.Join(" | ", row));
            }
        }

        var version = await GlusterStorage.VersionAsync();
        MarkdownTable.Write(
            string.Create(CultureInfo.InvariantCulture,
                $"Faults of storage in the middle of a save, guest of {GuestMiB} MiB, {MiBPerSecond} MiB/s, {version}"),
            ["fault", "save by", "guest", "during the fault", "work kept", "after the repair", "message"],
            rows);
        Console.WriteLine(
            """
            The guest checks its memory for ever; it is stopped for the save, and the fault comes when a third of it is written. The storage is
            repaired once the save has ended or is paused, else after 15 s. A guest that "runs on when told to" was left stopped, and got a "cont"
            from the bench. "Work kept" is what need not be written again at the repair; QEMU has no way to go on with a failed save. A
            completed image is loaded by a stock QEMU, and its guest must find its memory as it was. Full storage need not meet distmigrate,
            which reserves the space of the pages before it writes them.

            """);
    }

    /// <summary>One case.</summary>
    /// <returns>The cells from "guest" on.</returns>
    private static async Task<string[]> RunAsync(FaultyStorage storage, QemuProcess guest, IFaultedSave save, CancellationToken cancellationToken)
    {
        await save.StartAsync(cancellationToken);
        await Wait.UntilAsync(
            async () => await save.WrittenAsync(cancellationToken) > (GuestMiB << 20) / 3, "a third is written", cancellationToken: cancellationToken);
        await storage.BreakAsync();
        var during = await WaitAsync(save, state => state.IsSettled, FaultLimit, cancellationToken);
        await storage.RepairAsync();
        if (!during.IsOver)
            await WaitAsync(save, state => state.IsOver, EndLimit, cancellationToken);
        var verdict = await TryGuestAsync(guest, cancellationToken);

        // A QEMU that said "failed" may abort right after it.
        var after = await save.StateAsync(cancellationToken);
        var result = after.Phase == "completed" ? $"completed, {await TryLoadAsync(Path.Combine(storage.Path, "image"), cancellationToken)}" : after.Phase;
        var message = during.Message.Length > 0 && after.Phase != "aborted" ? during.Message : after.Message;
        return [verdict, during.Phase, Kept(during), result, Shorten(message.Replace(storage.Path + "/", "", StringComparison.Ordinal))];
    }

    /// <summary>The state when the condition holds, or at the limit.</summary>
    private static async Task<SaveState> WaitAsync(IFaultedSave save, Predicate<SaveState> condition, TimeSpan limit, CancellationToken cancellationToken)
    {
        var start = TimeProvider.System.GetTimestamp();
        SaveState? state = null;
        await Wait.UntilAsync(
            async () =>
            {
                state = await save.StateAsync(cancellationToken);
                return condition(state) || TimeProvider.System.GetElapsedTime(start) > limit;
            },
            "the save answers",
            limit + EndLimit,
            cancellationToken: cancellationToken);
        return state!;
    }

    /// <summary>Whether the guest goes on with the memory that it had; one that was left stopped is told to.</summary>
    private static async Task<string> TryGuestAsync(QemuProcess guest, CancellationToken cancellationToken)
    {
        if (guest.HasExited)
            return "lost";
        try
        {
            var isRunning = await guest.Monitor.RunStateAsync(cancellationToken) == "running";
            if (!isRunning)
                await guest.ContinueAsync(cancellationToken);
            await guest.WaitForStepsAsync(cancellationToken: cancellationToken);
            return isRunning ? "runs on" : "runs on when told to";
        }
        catch (Exception exception) when (exception is IOException or TimeoutException or InvalidOperationException or MonitorException)
        {
            return $"lost: {Shorten(exception.Message)}";
        }
    }

    private static async Task<string> TryLoadAsync(string image, CancellationToken cancellationToken)
    {
        await using var target = await QemuProcess.StartAsync(Recipe.AsTarget(), cancellationToken);
        try
        {
            (await StockLoad.LoadAsync(target, image, FileMigration.Plain, cancellationToken: cancellationToken)).ThrowUnlessCompleted();
            await target.ContinueAsync(cancellationToken);
            await target.WaitForStepsAsync(cancellationToken: cancellationToken);
            return "image good";
        }
        catch (Exception exception) when (exception is IOException or TimeoutException or InvalidOperationException or MonitorException)
        {
            return $"image bad: {Shorten(exception.Message)}";
        }
    }

    private static string Kept(SaveState state) => state.Phase == "completed"
        ? "all"
        : state.KeptBytes == 0 ? "none" : string.Create(CultureInfo.InvariantCulture, $"{state.KeptBytes >> 20} MiB");

    private static string Shorten(string text)
    {
        var line = string.Join(' ', text.Split(['\n', '\r', '|'], StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries));
        return line.Length <= LongestMessage ? line : line[..LongestMessage] + "...";
    }
}
