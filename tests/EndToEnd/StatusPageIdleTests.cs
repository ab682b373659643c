using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

public sealed class StatusPageIdleTests
{
    [Fact]
    public async Task A_page_that_is_left_open_does_not_keep_a_silo_in_the_background_alive()
    {
        await using var product = new ProductUnderTest();
        product.Settings["DISTMIGRATE_IdleExit"] = "00:00:03";

        // This command's grain has a timer, which must not count as a client either.
        var command = product.RunAsync("hosts");
        var asked = 0;
        await Wait.UntilAsync(
            async () =>
            {
                try
                {
                    Assert.Contains("unfinished", await product.GetAsync("/api/overview"), StringComparison.Ordinal);
                    asked++;
                    return false;
                }
                catch (Exception exception) when (exception is HttpRequestException or InvalidOperationException)
                {
                    return command.IsCompleted && product.FindSilos().Count == 0;
                }
            },
            "the silo has ended",
            details: () => product.SiloLog);
        (await command).ExpectOk();
        Assert.True(asked > 3, $"The page was asked for {asked} times only.");
        Assert.Contains("Nothing to do", product.SiloLog, StringComparison.Ordinal);
    }
}
