using DistMigrate.Client.Values;
using DistMigrate.Client.Watching;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using Spectre.Console;

namespace DistMigrate.Client.Commands;

/// <summary>Proves every page of an image against its checksums, with progress at a terminal.</summary>
internal static class DeepCheck
{
    private static readonly TimeSpan Period = TimeSpan.FromMilliseconds(250);

    /// <summary>Compares all pages of a well-formed image.</summary>
    /// <exception cref="CommandException">There are no checksums, or they are not of this image.</exception>
    /// <exception cref="IOException">The image cannot be read.</exception>
    public static async Task<DeepVerification> RunAsync(Invocation invocation, string path, MappedRamImage structure)
    {
        var checksumsPath = path + ".checksums";
        using var checksums = OpenChecksums(checksumsPath, path);
        using var image = new DirectImageInput(path);
        if (!image.IsDirect)
            invocation.Terminal.Note($"the file system of {path} does not let it be read past the page cache, so the cache is part of what is proven");
        var progress = new Progress(structure.Blocks.Sum(block => block.Layout.PageCount) * Page.Size, invocation.Time);
        var work = Task.Factory.StartNew(
            () => DeepVerifier.Verify(image, checksums, Environment.ProcessorCount, progress, invocation.Cancellation),
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        try
        {
            return invocation.Terminal.Error.Profile.Capabilities.Interactive ? await ShowAsync(invocation, progress, work) : await work;
        }
        catch (JournalException e)
        {
            throw new CommandException(
                ExitCode.Malformed, $"{checksumsPath} proves nothing about the image: {e.Message}",
                "put the image and the checksums of the same save side by side; without them the pages cannot be proven", e);
        }
        catch (ImageFormatException e)
        {
            throw new CommandException(ExitCode.Malformed, e.Message, "the image was changed while it was read; run it again", e);
        }
    }

    private static FileImageInput OpenChecksums(string path, string image)
    {
        try
        {
            return new FileImageInput(path);
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CommandException(
                ExitCode.NotFound, $"the pages of {image} cannot be proven, because its checksums {path} do not exist.",
                "copy them from where the image was saved; an image that QEMU saved has none, and 'verify' without --deep checks its structure", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(ExitCode.Storage, $"the checksums {path} cannot be read: {e.Message}", "check the storage and the rights, then try again", e);
        }
    }

    private static Task<DeepVerification> ShowAsync(Invocation invocation, Progress progress, Task<DeepVerification> work) =>
        invocation.Terminal.Error.Live(new Text("")).AutoClear(true).StartAsync(async context =>
        {
            while (!work.IsCompleted)
            {
                context.UpdateTarget(new Text(progress.Line()));
                await Task.WhenAny(work, Task.Delay(Period, invocation.Time));
            }
            return await work;
        });

    /// <summary>How far it is. The threads that compare report to it.</summary>
    private sealed class Progress(long total, TimeProvider time) : IProgress<long>
    {
        private readonly long _started = time.GetTimestamp();
        private long _done;

        public void Report(long value)
        {
            // They may report out of order.
            for (var done = Volatile.Read(ref _done); value > done;)
                done = Interlocked.CompareExchange(ref _done, value, done) is var seen && seen == done ? value : seen;
        }

        public string Line()
        {
            var done = Volatile.Read(ref _done);
            var line = $"{ByteSize.Format(done)} of {ByteSize.Format(total)} compared ({LineProgress.Percent(done, total)})";
            var seconds = time.GetElapsedTime(_started).TotalSeconds;
            return done == 0 || seconds < 1
                ? line
                : $"{line}, {ByteSize.FormatRate(done / seconds)}, {DurationText.Format(TimeSpan.FromSeconds(seconds * (total - done) / done))} left";
        }
    }
}
