using DistMigrate.Posix;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>
/// A stopped guest with a chosen amount of memory in use. Its program walks one MiB only; the rest is filled through the shared RAM
/// file, so that letting it run for a moment, which QEMU asks for between two migrations, changes next to nothing.
/// </summary>
internal sealed class BenchGuest : IAsyncDisposable
{
    private const int MiB = 1 << 20;

    private readonly QemuProcess _qemu;
    private readonly Descriptor _ram;
    private readonly List<(long Offset, long Length)> _holes;

    private BenchGuest(QemuProcess qemu, Descriptor ram, long length)
    {
        _qemu = qemu;
        _ram = ram;
        _holes = HolesOf(ram, length);
    }

    public QemuProcess Qemu => _qemu;

    /// <summary>Starts it, fills it, and stops it.</summary>
    public static async Task<BenchGuest> StartAsync(int mib, GuestFill fill, CancellationToken cancellationToken)
    {
        var recipe = new GuestRecipe { Boot = new SelfCheckBoot { LowerMiB = 1, UpperMiB = 2 }, Memory = MemoryKind.SharedFile, MiB = mib };
        var qemu = await QemuProcess.StartAsync(recipe, cancellationToken);
        Descriptor? ram = null;
        try
        {
            await qemu.WaitUntilReadyAsync(cancellationToken: cancellationToken);
            await qemu.PauseAsync(cancellationToken);
            ram = Libc.Open(Path.Combine(qemu.MemoryFolder, "pc.ram"), OpenFlags.ReadWrite);
            fill.WriteTo(ram);
            return new BenchGuest(qemu, ram, (long)mib * MiB);
        }
        catch
        {
            ram?.Dispose();
            await qemu.DisposeAsync();
            throw;
        }
    }

    /// <summary>Makes it as it was before a save: stopped, ready for another migration, and with its holes, of which QEMU's own save
    /// fills every one by reading it.</summary>
    public async Task ResetAsync(CancellationToken cancellationToken)
    {
        if (await _qemu.Monitor.RunStateAsync(cancellationToken) != "paused")
        {
            await _qemu.ContinueAsync(cancellationToken);
            await _qemu.PauseAsync(cancellationToken);
        }

        foreach (var (offset, length) in _holes)
        {
            if (Libc.PunchHole(_ram, offset, length) is var errno and not Errno.None)
                throw new InvalidOperationException($"The holes of the guest's memory could not be made again: {errno}.");
        }
    }

    public async ValueTask DisposeAsync()
    {
        _ram.Dispose();
        await _qemu.DisposeAsync();
    }

    private static List<(long Offset, long Length)> HolesOf(Descriptor ram, long length)
    {
        List<(long, long)> holes = [];
        for (var at = 0L; at < length;)
        {
            var data = Libc.SeekData(ram, at);
            if (data < 0)
                data = length;
            if (data > at)
                holes.Add((at, data - at));
            at = data == length ? length : Libc.SeekHole(ram, data);
        }

        return holes;
    }
}
