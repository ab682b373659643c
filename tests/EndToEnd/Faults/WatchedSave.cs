using System.Globalization;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Saves the guest of a bench with strace attached to the silo from a moment on.</summary>
internal sealed class WatchedSave(FaultBench bench)
{
    /// <summary>Everything by which a save changes files, or asks for them.</summary>
    private const string Calls = "openat,flock,ftruncate,pwrite64,fsync,fallocate,renameat2,renameat,statx";

    /// <summary>Slow enough that there is a moment while it copies.</summary>
    private const string SlowRate = "4MiB/s";

    private const int CommLength = 15;

    /// <summary>Saves, with calls failing, or killing the silo, as told; returns once the save has ended or the silo is dead.</summary>
    /// <param name="image">The image.</param>
    /// <param name="moment">From when on.</param>
    /// <param name="injections">As strace has them; none for a record of a good save.</param>
    /// <returns>The migration, and strace's record.</returns>
    public async Task<(string Id, IReadOnlyList<string> Record)> RunAsync(string image, FaultMoment moment, params string[] injections)
    {
        var guest = await bench.GuestAsync();
        var silo = bench.Product.SiloPid;
        string[] paths =
        [
            image, $"{image}.partial", $"{image}.manifest.json", $"{image}.partial.manifest.json", $"{image}.journal", $"{image}.checksums",
            $"{image}.partial.checksums", Path.GetDirectoryName(image)!, Path.Combine(bench.Product.StateFolder, "stopped"),
        ];
        if (moment == FaultMoment.Beginning)
        {
            await using var strace = await Strace.AttachAsync(silo, paths, Calls, injections);
            var started = await bench.SubmitAsync(guest, image, "1GiB/s");
            return (started, await EndAsync(strace, started));
        }

        var id = await bench.SubmitAsync(guest, image, SlowRate);
        await bench.WaitUntilCopyingAsync();
        if (moment == FaultMoment.Copying)
        {
            await using var strace = await Strace.AttachToThreadAsync(WriterThread(silo), "pwrite64,fallocate", injections);
            return (id, await EndAsync(strace, id));
        }

        // The silo asks a QEMU that stands still for its device state, and so waits at the end of the copying for a few seconds.
        Signals.Send(guest.Pid, Signal.Stop);
        try
        {
            await bench.WaitUntilCopiedAsync();
            await using var strace = await Strace.AttachAsync(silo, paths, Calls, injections);
            Signals.Send(guest.Pid, Signal.Continue);
            return (id, await EndAsync(strace, id));
        }
        finally
        {
            Signals.Send(guest.Pid, Signal.Continue);
        }

        async Task<IReadOnlyList<string>> EndAsync(Strace strace, string migration)
        {
            if (Array.Exists(injections, injection => injection.Contains("signal=KILL", StringComparison.Ordinal)))
                await Wait.UntilAsync(() => !ProcessState.IsAlive(silo), "the silo is killed", details: () => bench.Product.SiloLog);
            else
                await EndByItselfAsync(strace, migration);
            return await strace.FinishAsync();
        }
    }

    /// <summary>strace counts the calls of each thread, and a save that goes on does so in new ones: without strace it meets no further fault.</summary>
    private async Task EndByItselfAsync(Strace strace, string migration)
    {
        var watch = bench.Product.RunAsync("watch", migration);
        await Wait.UntilAsync(() => watch.IsCompleted || strace.HasInjected, "a call fails as told, or the save ends");
        await strace.FinishAsync();
        await watch;
    }

    /// <summary>The thread of a writer; the kernel keeps the first 15 bytes of its name.</summary>
    private static int WriterThread(int silo)
    {
        var name = "writer 0 of m-1"[..CommLength];
        foreach (var task in Directory.EnumerateDirectories(string.Create(CultureInfo.InvariantCulture, $"/proc/{silo}/task")))
        {
            if (File.ReadAllText(Path.Combine(task, "comm")).TrimEnd() == name)
                return int.Parse(Path.GetFileName(task), CultureInfo.InvariantCulture);
        }

        throw new InvalidOperationException($"The silo has no thread '{name}'.");
    }
}
