using System.Globalization;
using System.Text.RegularExpressions;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// A Debian kernel with busybox: a tmpfs file of random bytes whose SHA-256 it computes and prints every second. It prints
/// <c>READY sum</c> once, <c>SUM sum counter</c> for ever, and <c>BAD sum</c> when the sum is no longer the first one.
/// </summary>
public sealed partial record LinuxBoot : GuestBoot
{
    /// <summary>Size of the tmpfs file in MiB. Leave the kernel at least 96 MiB of the guest's RAM.</summary>
    public int FileMiB { get; init; } = 16;

    /// <summary>Whether it also copies the file to the disk <c>/dev/vda</c> and back without end, past its page cache (O_DIRECT), so that the disk
    /// writes into the guest's memory all the time; the disk is to be larger than the file. What comes back wrong is a <c>BAD</c> as well.</summary>
    public bool LoadsDisk { get; init; }

    /// <inheritdoc/>
    public override LabNeeds Needs => LabNeeds.LinuxGuest;

    /// <inheritdoc/>
    public override bool IsReady(string serial) => ReadyLine().IsMatch(serial);

    /// <inheritdoc/>
    public override int Steps(string serial) => SumLine().Count(serial);

    /// <inheritdoc/>
    public override string? Fault(string serial) => FirstLineWith(serial, "BAD", "Kernel panic", "BUG:", "Oops:", "segfault at");

    /// <summary>The newest sum and counter in the log; the counter is 0 before the first SUM line. Null before READY.</summary>
    /// <param name="serial">Everything the guest printed.</param>
    public static (string Sum, int Counter)? Newest(string serial)
    {
        if (SumLine().Matches(serial) is { Count: > 0 } sums)
        {
            return (sums[^1].Groups[1].Value, int.Parse(sums[^1].Groups[2].ValueSpan, CultureInfo.InvariantCulture));
        }

        var ready = ReadyLine().Match(serial);
        return ready.Success ? (ready.Groups[1].Value, 0) : null;
    }

    internal override async Task<IReadOnlyList<string>> PrepareAsync(string folder, bool kvm, CancellationToken cancellationToken)
    {
        var path = Path.Combine(folder, "initramfs.cpio");
        if (!File.Exists(path))
        {
            var archive = new CpioArchive();
            archive.AddFolder("bin");
            archive.AddFolder("data");
            archive.AddFolder("dev");
            archive.AddFolder("proc");
            archive.AddFile("bin/busybox", await File.ReadAllBytesAsync(LabPrograms.Busybox, cancellationToken));
            archive.AddFile("init", LabResources.Bytes("linux-init.sh"));
            archive.AddFolder("modules");
            foreach (var module in LoadsDisk ? Directory.GetFiles(LabPrograms.LinuxModules) : [])
                archive.AddFile($"modules/{Path.GetFileName(module)}", await File.ReadAllBytesAsync(module, cancellationToken));
            await File.WriteAllBytesAsync(path, archive.Finish(), cancellationToken);
        }

        return
        [
            "-kernel", LabPrograms.LinuxKernel,
            "-initrd", path,
            "-append", $"console=ttyS0 quiet panic=-1 lab.mib={FileMiB.ToString(CultureInfo.InvariantCulture)}{(LoadsDisk ? " lab.disk" : "")}",
        ];
    }

    [GeneratedRegex(@"^READY ([0-9a-f]{64})\r?\n", RegexOptions.Multiline)]
    private static partial Regex ReadyLine();

    [GeneratedRegex(@"^SUM ([0-9a-f]{64}) ([0-9]+)\r?\n", RegexOptions.Multiline)]
    private static partial Regex SumLine();
}
