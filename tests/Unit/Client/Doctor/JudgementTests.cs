using System.Runtime.InteropServices;
using DistMigrate.Client.Doctor;
using DistMigrate.Client.Doctor.Guests;
using DistMigrate.Client.Doctor.Hosts;
using DistMigrate.Client.Doctor.Storage;
using DistMigrate.Posix;
using DistMigrate.Silo;

namespace DistMigrate.Tests.Unit.Client.Doctor;

/// <summary>What is made of what was found, where this machine cannot be brought to show it.</summary>
public sealed class JudgementTests
{
    private const ulong Ptrace = 1UL << 19;

    private static readonly Version Ten = new(10, 0, 2);

    [Theory]
    [InlineData("6.18.44-fc", nameof(Verdict.Ok))]
    [InlineData("5.3", nameof(Verdict.Ok))]
    [InlineData("5.2.21-generic", nameof(Verdict.Failed))]
    [InlineData("4.19.0", nameof(Verdict.Failed))]
    [InlineData("unheard-of", nameof(Verdict.Warning))]
    public void A_kernel_must_have_pidfd_open(string release, string verdict) => Expect(verdict, KernelCheck.Judge(release, Architecture.X64));

    [Fact]
    public void Another_architecture_is_warned_of() => Expect(nameof(Verdict.Warning), KernelCheck.Judge("6.18", Architecture.Arm64));

    [Theory]
    [InlineData(true, Ptrace, null, nameof(Verdict.Ok))]
    [InlineData(true, Ptrace, 2, nameof(Verdict.Ok))]
    [InlineData(true, Ptrace, 3, nameof(Verdict.Failed))]
    [InlineData(true, 0UL, null, nameof(Verdict.Warning))]
    [InlineData(true, 0UL, 1, nameof(Verdict.Failed))]
    [InlineData(false, 0UL, null, nameof(Verdict.Ok))]
    [InlineData(false, 0UL, 0, nameof(Verdict.Ok))]
    [InlineData(false, 0UL, 1, nameof(Verdict.Failed))]
    [InlineData(false, Ptrace, 1, nameof(Verdict.Ok))]
    public void Reading_guest_memory_takes_a_capability_or_a_kernel_that_lets_the_same_user(bool isRoot, ulong capabilities, int? scope, string verdict) =>
        Expect(verdict, MemoryRightsCheck.Judge(isRoot, capabilities, scope));

    [Fact]
    public void Capabilities_are_read_from_the_process() =>
        Assert.Equal(0x1fffeffffffUL, MemoryRightsCheck.EffectiveIn(["CapPrm:\t0", "CapEff:\t000001fffeffffff", "CapBnd:\t0"]));

    [Fact]
    public void A_QEMU_must_be_new_enough_and_have_what_nothing_goes_without()
    {
        Expect(nameof(Verdict.Ok), Facts("").JudgeVersion());
        Expect(nameof(Verdict.Ok), Facts("").JudgeCapabilities());
        Expect(nameof(Verdict.Failed), (Facts("") with { Version = new Version(8, 2, 2) }).JudgeVersion());
        Expect(nameof(Verdict.Failed), Facts("mapped-ram").JudgeCapabilities());
        Expect(nameof(Verdict.Failed), Facts("x-query-ramblock").JudgeCapabilities());
        Expect(nameof(Verdict.Warning), Facts("direct-io").JudgeCapabilities());
        Expect(nameof(Verdict.Warning), Facts("multifd").JudgeCapabilities());
    }

    [Fact]
    public void A_clock_that_nothing_keeps_right_is_warned_of()
    {
        Expect(nameof(Verdict.Ok), ClockCheck.Judge(isSynchronized: true));
        Expect(nameof(Verdict.Warning), ClockCheck.Judge(isSynchronized: false));
    }

    [Theory]
    [InlineData(32, 32, nameof(Verdict.Ok))]
    [InlineData(16, 32, nameof(Verdict.Ok))]
    [InlineData(1, 32, nameof(Verdict.Warning))]
    public void The_RAM_of_guests_must_have_room(long size, long memory, string verdict) =>
        Expect(verdict, MemoryFolderCheck.Judge(new FileSystemSpace(size << 30, 1 << 30, 0, 0, 255), memory << 30));

    [Fact]
    public void The_memory_of_the_host_is_read() => Assert.Equal(24_684_084L * 1024, MemoryFolderCheck.MemoryIn(["MemTotal:       24684084 kB", "MemFree: 1 kB"]));

    [Fact]
    public void A_silo_of_another_version_is_warned_of()
    {
        Expect(nameof(Verdict.Ok), SiloCheck.Judge("hv1", "1.0+abc", "1.0+abc"));
        Expect(nameof(Verdict.Warning), SiloCheck.Judge("hv1", "1.0+abc", "1.0+def"));
    }

    [Fact]
    public void The_folders_of_a_host_are_those_of_the_silo()
    {
        Assert.Equal(RuntimeFolder.Path, HostFolders.Runtime);
        var settings = new SiloSettings();
        Assert.Equal((settings.GuestFolder, settings.Launch.MemoryFolder), (HostFolders.Guests, HostFolders.Memory));
    }

    [Theory]
    [InlineData(10L << 30, 1000, 500, nameof(Verdict.Ok))]
    [InlineData(10L << 30, 0, 0, nameof(Verdict.Ok))]
    [InlineData(1L << 30, 1000, 500, nameof(Verdict.Warning))]
    [InlineData(1L << 20, 1000, 500, nameof(Verdict.Failed))]
    [InlineData(10L << 30, 1000, 5, nameof(Verdict.Failed))]
    public void Space_and_inodes_must_be_there(long available, long files, long availableFiles, string verdict) =>
        Expect(verdict, SpaceCheck.Judge(new FileSystemSpace(100L << 30, available, files, availableFiles, 255)));

    [Fact]
    public void A_file_system_that_does_not_tell_its_space_is_not_full() => Expect(nameof(Verdict.Ok), SpaceCheck.Judge(default));

    [Theory]
    [InlineData(0, 0, 0x180 /* 0600 */, nameof(Verdict.Ok))]
    [InlineData(65534, 0, 0x180, nameof(Verdict.Warning))]
    [InlineData(0, 0, 0x1ff /* 0777 */, nameof(Verdict.Failed))]
    [InlineData(0, 0, 0x1a0 /* 0640 */, nameof(Verdict.Failed))]
    public void Images_must_be_private_and_of_the_user_who_made_them(uint owner, uint user, int mode, string verdict) =>
        Expect(verdict, CreateCheck.Judge(owner, user, mode));

    [Theory]
    [InlineData(2_000, 3_000, false, nameof(Verdict.Ok))]
    [InlineData(8, 3_000, false, nameof(Verdict.Warning))]
    [InlineData(8, 9, true, nameof(Verdict.Ok))]
    [InlineData(900_000, 1_500_000, false, nameof(Verdict.Warning))]
    public void An_fsync_can_be_too_fast_and_too_slow(int shortest, int median, bool isInMemory, string verdict) =>
        Expect(verdict, FsyncCheck.Judge(TimeSpan.FromMicroseconds(shortest), TimeSpan.FromMicroseconds(median), isInMemory, "write back"));

    [Fact]
    public void A_file_system_that_hides_data_in_a_hole_is_worse_than_one_that_tells_no_holes()
    {
        const long length = 64L << 20;
        var scene = new StorageScene("/srv", "", null, TimeProvider.System, CancellationToken.None);
        Expect(nameof(Verdict.Ok), HolesCheck.Judge([(length / 2, (length / 2) + 4096)], 4096, scene));
        Expect(nameof(Verdict.Warning), HolesCheck.Judge([(0, length)], 4096, scene));
        Expect(nameof(Verdict.Warning), HolesCheck.Judge(null, 4096, scene));
        Expect(nameof(Verdict.Warning), HolesCheck.Judge([(length / 2, (length / 2) + 4096)], length, scene));
        Expect(nameof(Verdict.Failed), HolesCheck.Judge([], 4096, scene));
        Expect(nameof(Verdict.Failed), HolesCheck.Judge([(0, 4096)], 4096, scene));
        scene.Mount = new MountEntry("0:1", "/srv", "nfs", "hv1:/x", ["vers=3"]);
        Assert.Contains("vers=4.2", HolesCheck.Judge(null, 4096, scene).Fix, StringComparison.Ordinal);
    }

    [Fact]
    public void Small_files_and_short_names_are_warned_of()
    {
        Expect(nameof(Verdict.Ok), FileSizeCheck.Judge(8L << 40, long.MaxValue));
        Expect(nameof(Verdict.Warning), FileSizeCheck.Judge(4L << 30, long.MaxValue));
        Assert.Contains("ulimit", FileSizeCheck.Judge(4L << 30, 4L << 30).Fix, StringComparison.Ordinal);
        Assert.Equal(4096, FileSizeCheck.LimitIn(["Limit                     Soft Limit           Hard Limit           Units", "Max file size             4096                 unlimited            bytes"]));
        Assert.Equal(long.MaxValue, FileSizeCheck.LimitIn(["Max file size             unlimited            unlimited            bytes"]));
        Expect(nameof(Verdict.Ok), NameLengthCheck.Judge(255));
        Expect(nameof(Verdict.Warning), NameLengthCheck.Judge(120));
    }

    [Fact]
    public void A_lock_of_another_host_counts_only_when_it_keeps_this_one_out_and_is_another_ones()
    {
        var own = new LockHolder("hv2", "boot-2");
        var peer = new LockHolder("hv1", "boot-1");
        Expect(nameof(Verdict.Ok), PeerLockCheck.Judge("hv1", peer, own, isTaken: false, "/srv"));
        Expect(nameof(Verdict.Failed), PeerLockCheck.Judge("hv1", peer, own, isTaken: true, "/srv"));
        Expect(nameof(Verdict.Failed), PeerLockCheck.Judge("hv1", null, own, isTaken: true, "/srv"));
        Expect(nameof(Verdict.Failed), PeerLockCheck.Judge("hv1", null, own, isTaken: false, "/srv"));
        Expect(nameof(Verdict.Warning), PeerLockCheck.Judge("hv3", peer, own, isTaken: false, "/srv"));
        Expect(nameof(Verdict.Warning), PeerLockCheck.Judge("hv1", peer with { Boot = own.Boot }, own, isTaken: false, "/srv"));
        Assert.Equal(peer, LockHolder.TryParse(peer.ToBytes()));
        Assert.Null(LockHolder.TryParse(peer.ToBytes().AsSpan(0, 5)));
        Assert.Null(LockHolder.TryParse([]));
    }

    [Fact]
    public void A_folder_must_lie_below_a_storage_root()
    {
        var there = Finding.Ok("");
        Expect(nameof(Verdict.Ok), StorageExamination.JudgeRoot("/srv/images", there, ["/mnt", "/srv"]));
        Expect(nameof(Verdict.Failed), StorageExamination.JudgeRoot("/srvx", there, ["/mnt", "/srv"]));
        Expect(nameof(Verdict.NotTried), StorageExamination.JudgeRoot("/srv", there, null));
        Expect(nameof(Verdict.NotTried), StorageExamination.JudgeRoot("/srv", Finding.Failed("", "", ""), ["/srv"]));
    }

    [Fact]
    public void The_largest_RAMBlock_is_found_also_with_a_long_name()
    {
        const string text = """
                          Block Name    PSize              Offset               Used              Total                HVA  RO
                              pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 0x00007f1234500000  rw
            a name with blanks.vga.vram    4 KiB  0x0000000008080000 0x0000000001000000 0x0000000001000000 0x00007f0000000000  ro
            """;
        Assert.Equal(new GuestRam("pc.ram", 128 << 20, 0x7f1234500000), GuestRam.LargestIn(text));
        Assert.Equal("a name with blanks.vga.vram", GuestRam.LargestIn(text.Replace("0x0000000001000000", "0x0000000010000000", StringComparison.Ordinal))!.Name);
        Assert.Null(GuestRam.LargestIn("nothing of the kind"));
    }

    [Fact]
    public void A_folder_that_fails_is_told_from_a_host_that_does_by_the_exit_code()
    {
        var storage = new Subject(SubjectKind.Storage, "/srv");
        var host = new Subject(SubjectKind.Host, "hv1");
        var failed = Finding.Failed("", "", "");
        Assert.Equal(0, DoctorRun.CodeOf([new(host, "a", Finding.Warning("", "", "")), new(storage, "b", Finding.NotTried(""))]));
        Assert.Equal(3, DoctorRun.CodeOf([new(host, "a", failed), new(storage, "b", Finding.Ok(""))]));
        Assert.Equal(10, DoctorRun.CodeOf([new(host, "a", failed), new(storage, "b", failed)]));
    }

    private static QemuFacts Facts(string without) => new(
        "qemu", Ten, Set(without, "mapped-ram", "multifd", "x-ignore-shared"), Set(without, "direct-io"), Set(without, "x-query-ramblock", "xen-save-devices-state"));

    private static HashSet<string> Set(string without, params string[] names) => [.. names.Where(name => name != without)];

    private static void Expect(string verdict, Finding finding)
    {
        Assert.Equal((verdict, finding.Found), (finding.Verdict.ToString(), finding.Found));
        Assert.Equal(finding.Verdict is Verdict.Warning or Verdict.Failed, finding is { Why.Length: > 0, Fix.Length: > 0 });
    }
}
