using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>
/// A save of a guest that was running, met by a fault of its storage when a part of it is durable, and what must hold then: the work is
/// kept, nothing is published that is not whole, and the guest runs whenever the save does not go on.
/// </summary>
internal sealed class FaultedSave
{
    /// <summary>So slow that a fault comes in the middle, and so fast that the rest takes a few seconds.</summary>
    private const string Rate = "3MiB/s";

    private const long PagesBefore = 1000;

    private static readonly string[] NotDurable = ["pages-failed", "pages-written", "pages-in-flight", "written-resumed"];

    private readonly FaultBench _bench;
    private readonly QemuProcess _guest;
    private readonly string _image;
    private readonly int _events;
    private long? _mostResumed;

    private FaultedSave(FaultBench bench, QemuProcess guest, string image, string id, int events)
    {
        _bench = bench;
        _guest = guest;
        _image = image;
        _events = events;
        Id = id;
    }

    /// <summary>The migration.</summary>
    public string Id { get; }

    /// <summary>Pages that were durable before the fault, without those that are zero.</summary>
    public long Kept { get; private set; }

    /// <summary>Starts the save of a bench's guest. Its fsync epochs must be short.</summary>
    /// <returns>The save, once pages are durable and others are not.</returns>
    public static async Task<FaultedSave> StartAsync(FaultBench bench, string image, params string[] options)
    {
        var save = await SubmitAsync(bench, image, Rate, options);
        save.Kept = await bench.WaitUntilDurableAsync(PagesBefore);
        return save;
    }

    /// <summary>Starts the save without waiting for anything.</summary>
    public static async Task<FaultedSave> SubmitAsync(FaultBench bench, string image, string rate, params string[] options)
    {
        var guest = await bench.GuestAsync();
        var events = guest.Monitor.Events.Count;
        return new FaultedSave(bench, guest, image, await bench.SubmitAsync(guest, image, rate, options: options), events);
    }

    /// <summary>The save pauses for one of these reasons, says when it tries again, and keeps its work; the guest runs, and the silo answers.</summary>
    /// <returns>What <c>status ID</c> tells.</returns>
    public async Task<JsonElement> ExpectPausedAsync(params string[] reasons)
    {
        var status = await _bench.WaitForPhaseAsync(Id, "paused");
        Assert.Contains(status.GetProperty("reason").GetString(), reasons);
        Assert.True(status.GetProperty("trouble").GetProperty("next-try").TryGetDateTimeOffset(out _), status.ToString());
        Assert.NotEqual("", status.GetProperty("message").GetString());
        await Expect.RunsAtOnceAsync(_guest);
        (await _bench.Product.RunAsync("list")).ExpectOk();
        Assert.True(await _bench.SumBlocksAsync(Id, "pages-durable") > 0, "What was durable is kept.");

        // What is only written may be lost, and what is in flight may fail; nothing else is written again without the guest's doing.
        _mostResumed = (await _bench.Product.RunAsync("blocks", Id, "--output", "json")).ExpectOk().Json.GetProperty("blocks").EnumerateArray()
            .Sum(block => NotDurable.Sum(counter => block.GetProperty(counter).GetInt64()));
        return status;
    }

    /// <summary>Nothing has the image's name.</summary>
    public void ExpectUnpublished() => Assert.False(File.Exists(_image), $"{_image} is published.");

    /// <summary>The save completes by itself, from where it was: no page is written again that was durable when it paused, unless the guest changed it.</summary>
    /// <param name="isPausedOnce">Whether the pause that was seen is the only one.</param>
    public async Task ExpectCompletedAsync(bool isPausedOnce = true)
    {
        await _bench.WaitForPhaseAsync(Id, "completed");
        if (isPausedOnce && _mostResumed is { } most)
            Assert.InRange(await _bench.SumBlocksAsync(Id, "written-resumed"), 0, most);
        await _bench.CompleteAsync(Id, _image);
    }

    /// <summary>The save completes without ever having been paused: its guest stands still from the one stop on.</summary>
    public async Task ExpectCompletedAtOnceAsync()
    {
        await _bench.WaitForPhaseAsync(Id, "completed");
        Assert.Equal(["STOP"], _guest.Monitor.Events.Skip(_events).Select(e => e.GetProperty("event").GetString()).Where(name => name is "STOP" or "RESUME"));
        await _bench.CompleteAsync(Id, _image);
    }

    /// <summary>The save fails for this reason, and the guest runs on.</summary>
    public async Task ExpectFailedAsync(string reason)
    {
        var status = await _bench.WaitForPhaseAsync(Id, "failed");
        Assert.Equal(reason, status.GetProperty("reason").GetString());
        await Expect.RunsAgainAsync(_guest);
    }
}
