using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Cluster;

/// <summary>What proves that a guest ran at one place at a time must notice when it did not.</summary>
public sealed class OneRunsOnlyTests
{
    [Theory]
    [InlineData("1,0 2,0 2,1 2,2", null)]
    [InlineData("1,0 2,0 3,0", null)]
    [InlineData("1,0 2,1 2,2", null)]
    [InlineData("1,0 2,1 3,1", "the source went on at 2.000 s")]
    [InlineData("1,0 2,1 2,2 3,3", "the source went on at 3.000 s")]
    [InlineData("1,0 2,1 3,1!", null)]
    [InlineData("1,0 2,1 2,1! 3,1! 4,1!", null)]
    [InlineData("1,0 2,1 2,1! 3,1! 3,2!", "the target went on at 4.000 s")]
    [InlineData("", null)]
    public void A_course_in_which_both_ran_is_told(string course, string? fault)
    {
        var samples = course.Split(' ', StringSplitOptions.RemoveEmptyEntries).Select((text, second) =>
        {
            var numbers = text.TrimEnd('!').Split(',').Select(long.Parse).ToArray();
            return new OneRunsOnly.Sample(TimeSpan.FromSeconds(second), numbers[0], numbers[1], text.EndsWith('!'));
        });
        var found = OneRunsOnly.Fault([.. samples]);
        if (fault is null)
            Assert.Null(found);
        else
            Assert.Contains(fault, found, StringComparison.Ordinal);
    }

    [Fact]
    public async Task It_watches_logs_that_come_into_being_later()
    {
        using var logs = new MadeUpLogs();
        await using var watcher = logs.Watch();
        logs.Print("source", '.');
        logs.Print("target", '.');
        await logs.SeenAsync(watcher);
        logs.Print("target", '.');
        await watcher.ProveAsync();
    }

    [Fact]
    public async Task It_fails_the_test_in_which_both_ran()
    {
        using var logs = new MadeUpLogs();
        await using var watcher = logs.Watch();
        logs.Print("source", '.');
        logs.Print("target", '.');
        await logs.SeenAsync(watcher);
        logs.Print("source", '.');
        var failure = await Assert.ThrowsAnyAsync<Xunit.Sdk.XunitException>(watcher.ProveAsync);
        Assert.Contains("the source went on", failure.Message, StringComparison.Ordinal);
    }

    private sealed class MadeUpLogs : IDisposable
    {
        private readonly string _folder = Directory.CreateTempSubdirectory("dm-logs-").FullName;

        public OneRunsOnly Watch() => new(Log("source"), () => File.Exists(PathOf("target")) ? Log("target") : null);

        public void Print(string guest, char what) => File.AppendAllText(PathOf(guest), what.ToString());

        /// <summary>Waits until everything printed so far has been looked at.</summary>
        public Task SeenAsync(OneRunsOnly watcher) => Wait.UntilAsync(
            () => watcher.Last is var last && last.Source == Log("source").Length && last.Target == Log("target").Length, "the watcher has looked");

        public void Dispose() => Directory.Delete(_folder, recursive: true);

        private string PathOf(string guest) => Path.Combine(_folder, guest);

        private SerialLog Log(string guest) => new(PathOf(guest), () => false, () => guest);
    }
}
