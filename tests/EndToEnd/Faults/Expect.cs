using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>What must hold after a fault.</summary>
internal static class Expect
{
    /// <summary>Long enough for a machine that is busy with other things; an idle one takes well under a second.</summary>
    public static readonly TimeSpan ResumeLimit = TimeSpan.FromSeconds(20);

    /// <summary>A failed command has its exit code, and says on stderr, after <c>error:</c>, what, why and what to do; these words among it.</summary>
    public static void Failure(CommandResult result, int exitCode, params string[] words)
    {
        result.ExpectExit(exitCode);
        Assert.Contains("error: ", result.ErrorOutput, StringComparison.Ordinal);
        Assert.DoesNotContain("a fault of", result.ErrorOutput, StringComparison.OrdinalIgnoreCase);
        foreach (var word in words)
        {
            if (!result.ErrorOutput.Contains(word, StringComparison.OrdinalIgnoreCase))
                Assert.Fail($"Its message lacks '{word}': {result}");
        }
    }

    /// <summary>The guest runs already, and its memory is what it wrote.</summary>
    public static async Task RunsAtOnceAsync(QemuProcess guest)
    {
        Assert.Equal("running", await guest.Monitor.RunStateAsync());
        await guest.WaitForStepsAsync(2);
    }

    /// <summary>The guest runs again within a limit, and its memory is what it wrote.</summary>
    public static async Task RunsAgainAsync(QemuProcess guest, TimeSpan? limit = null)
    {
        await Wait.UntilAsync(
            async () => await guest.Monitor.RunStateAsync() == "running", "the guest runs again", limit ?? ResumeLimit, guest.Describe);
        await guest.WaitForStepsAsync(2);
    }

    /// <summary>A stock QEMU loads the image, and the guest in it finds its memory as it wrote it.</summary>
    public static async Task LoadsAsync(string image, GuestRecipe recipe)
    {
        await using var target = await QemuProcess.StartAsync(recipe.AsTarget());
        var loaded = await StockLoad.LoadAsync(target, image, FileMigration.Plain);
        Assert.True(loaded.Completed, $"{loaded.Error} {target.Describe()}");
        await target.ContinueAsync();
        await target.WaitForStepsAsync(2);
    }
}
