using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>
/// Each system call of a save fails once. Then the image is whole all the same, at once or after an interruption from which the save
/// goes on by itself; or the save says why not, the guest runs again and nothing is published: there is nothing in between.
/// </summary>
public sealed class InjectedErrorTests(FaultBench bench, ITestOutputHelper output) : IClassFixture<FaultBench>
{
    private const int Cases = 8;

    /// <summary>Exit codes that a save may end with after an error of its storage.</summary>
    private static readonly int[] Documented = [1, 3, 6, 7, 10];

    private static readonly Dictionary<string, string[]> Errors = new()
    {
        ["openat"] = ["EACCES", "EROFS", "ENOSPC", "EMFILE", "EIO"],
        ["flock"] = ["ENOLCK", "EIO"],
        ["ftruncate"] = ["EFBIG", "ENOSPC", "EIO"],
        ["pwrite64"] = ["EIO", "ENOSPC", "EDQUOT", "ESTALE"],
        ["fsync"] = ["EIO", "ENOSPC", "EDQUOT"],
        ["fallocate"] = ["ENOSPC", "EIO", "EDQUOT", "EOPNOTSUPP"],
        ["renameat2"] = ["EIO", "EROFS", "ENOSPC", "EEXIST"],
        ["renameat"] = ["EIO", "EROFS", "ENOSPC"],
        ["statx"] = ["ESTALE", "EIO"],
    };

    [RequiresFaultsFact(FaultNeeds.Strace)]
    public async Task An_error_of_any_call_at_any_moment_never_publishes_half_an_image_and_never_leaves_the_guest_stopped()
    {
        (await bench.Product.RunAsync("status")).ExpectOk();
        List<(FaultPoint Point, string Error)> all = [];
        foreach (var moment in Enum.GetValues<FaultMoment>())
        {
            foreach (var point in await RecordAsync(moment))
                all.AddRange(Errors[point.Call].Select(error => (point, error)));
        }

        // A write that is cut short tells no error at all.
        all.Add((new FaultPoint(FaultMoment.Copying, "pwrite64", 1), "short"));
        output.WriteLine($"SEED={FaultSeed.Value}; {all.Count} cases: {string.Join(", ", all.GroupBy(c => $"{c.Point.Moment} {c.Point.Call}").Select(g => $"{g.Key} {g.Count()}"))}");

        List<string> failures = [];
        foreach (var (point, error) in Choose(all))
        {
            try
            {
                await FailAsync(point, error);
            }
            catch (Exception exception) when (exception is not OperationCanceledException)
            {
                // The next case finds the bench as this one should have left it.
                failures.Add($"{point} {error}: {exception.Message}");
                await bench.ResetAsync();
            }
        }

        Assert.True(failures.Count == 0, $"SEED={FaultSeed.Value}\n{string.Join("\n\n", failures)}");
    }

    /// <summary>All cases, or so many, each of another kind of call.</summary>
    private static List<(FaultPoint Point, string Error)> Choose(List<(FaultPoint Point, string Error)> all)
    {
        if (LabPrograms.IsFull)
            return all;
        var random = FaultSeed.For(2);
        var kinds = all.GroupBy(c => (c.Point.Moment, c.Point.Call)).Select(kind => kind.ToArray()).ToArray();
        random.Shuffle(kinds);
        return [.. kinds.Take(Cases).Select(kind => kind[random.Next(kind.Length)])];
    }

    private async Task<IReadOnlyList<FaultPoint>> RecordAsync(FaultMoment moment)
    {
        var image = bench.Product.Image($"record-{moment}.img");
        var (id, record) = await new WatchedSave(bench).RunAsync(image, moment);
        Assert.Equal("completed", (await bench.StatusAsync(id)).Phase);
        await bench.RemoveAsync(image);
        var points = FaultPoint.Of(moment, record);
        Assert.Contains(points, point => point.Call == "pwrite64");
        return points;
    }

    private async Task FailAsync(FaultPoint point, string error)
    {
        var what = $"{point} {error} (SEED={FaultSeed.Value})";
        var image = bench.Product.Image("fault.img");
        var before = FolderState.Of(bench.Images);
        var (id, record) = await new WatchedSave(bench).RunAsync(image, point.Moment, point.Inject(error == "short" ? "retval=512" : $"error={error}"));
        Assert.True(record.Any(line => line.Contains("INJECTED", StringComparison.Ordinal)), $"{what} hit no call.");

        // The outcome once more, with its exit code and message.
        var result = await bench.Product.RunAsync("watch", id);
        output.WriteLine($"{point} {error}: {result.ExitCode} {result.ErrorOutput.Trim()}");
        if (result.ExitCode == 0)
        {
            // An error that meets only the removal of the journal keeps that, and the outcome says how to remove it.
            if (result.ErrorOutput.Contains("remove its journal with 'distmigrate gc'", StringComparison.Ordinal))
                (await bench.Product.RunAsync("gc", "--remove")).ExpectOk();
            await bench.ExpectWholeAsync(image);
            await bench.RemoveAsync(image);
            before.ExpectUnchanged(what + ": " + result);
            return;
        }

        Assert.True(Documented.Contains(result.ExitCode), $"{what}: {result}");
        Assert.True(result.ErrorOutput.Contains("error: ", StringComparison.Ordinal), $"{what}: {result}");
        Assert.False(result.ErrorOutput.Contains("a fault of", StringComparison.OrdinalIgnoreCase), $"{what}: {result}");
        await Expect.RunsAtOnceAsync(await bench.GuestAsync());
        Assert.False(File.Exists(image), $"{what} left {image}: {result}");

        // An error that meets the removal as well keeps the partial image, and then the outcome says so.
        if (result.ErrorOutput.Contains($"{image}.partial is kept, because", StringComparison.Ordinal))
        {
            foreach (var file in FaultBench.Unfinished(image))
                File.Delete(file);
        }

        before.ExpectUnchanged(what + ": " + result);
    }
}
