using DistMigrate.Client.Doctor;
using DistMigrate.Client.Doctor.Guests;
using DistMigrate.Client.Doctor.Hosts;
using DistMigrate.Client.Doctor.Storage;

namespace DistMigrate.Tests.Unit.Client.Doctor;

/// <summary>The checks of a folder, on the file systems of this machine.</summary>
public sealed class FolderChecksTests : IDisposable
{
    private readonly List<string> _folders = [];

    public static TheoryData<string> Parents => [.. new[] { Path.GetTempPath(), "/dev/shm" }.Where(Directory.Exists)];

    public void Dispose() => _folders.ForEach(folder => Directory.Delete(folder, recursive: true));

    [Fact]
    public void The_ids_are_those_that_scripts_know()
    {
        Assert.Equal(
            ["folder", "mount", "space", "create", "direct-io", "fsync", "holes", "punch-hole", "allocate", "file-size", "name-length", "rename",
                "exclusive-create", "lock", "peer-lock", "throughput"],
            StorageChecks.All.Select(check => check.Id));
        Assert.Equal(
            ["kernel", "qemu", "qemu-capabilities", "kvm", "memory-rights", "runtime-folder", "monitors", "memory-folder", "clock", "silo"],
            HostChecks.All.Select(check => check.Id));
        Assert.Equal(["monitor", "guest-qemu", "guest-blockers", "guest-memory"], GuestChecks.All.Select(check => check.Id));
    }

    [Theory]
    [MemberData(nameof(Parents))]
    public void A_good_folder_fails_no_check_and_nothing_is_left_in_it(string parent)
    {
        var scene = Scene(NewFolder(parent));
        foreach (var check in StorageChecks.All)
        {
            var finding = StorageChecks.Run(check, scene);
            Assert.True(finding.Verdict != Verdict.Failed, $"{check.Id}: {finding.Found}");
            Assert.True(finding.Verdict == Verdict.Ok || check.Id is not ("create" or "rename" or "exclusive-create" or "lock"), $"{check.Id}: {finding.Found}");
        }
        Assert.Empty(scene.Files.RemoveAll());
        Assert.Empty(Directory.EnumerateFileSystemEntries(scene.Folder));
    }

    [Fact]
    public void What_is_no_folder_fails_with_what_to_do()
    {
        var missing = StorageChecks.Run(Find("folder"), Scene("/nowhere/images"));
        Assert.Equal((Verdict.Failed, "It does not exist."), (missing.Verdict, missing.Found));
        Assert.Contains("mkdir -p /nowhere/images", missing.Fix, StringComparison.Ordinal);
        var file = Path.Combine(NewFolder(Path.GetTempPath()), "file");
        File.WriteAllText(file, "");
        Assert.Equal("It is not a folder.", StorageChecks.Run(Find("folder"), Scene(file)).Found);
    }

    [Fact]
    public void A_link_is_followed_before_anything_is_said_of_its_file_system()
    {
        var folder = NewFolder(Path.GetTempPath());
        var link = Path.Combine(folder, "link");
        File.CreateSymbolicLink(link, "/dev");
        var scene = Scene(link);
        Assert.Equal("It is there, and leads to /dev.", StorageChecks.Run(Find("folder"), scene).Found);
        Assert.Equal("/dev", scene.Resolved);
        Assert.Equal(MountTable.Find(MountTable.Read(), "/dev"), scene.Mount, (a, b) => a?.MountPoint == b?.MountPoint);
    }

    [Fact]
    public void What_a_killed_check_left_is_removed_by_the_next_and_what_another_one_uses_is_not()
    {
        var folder = NewFolder(Path.GetTempPath());
        var names = new[] { ".distmigrate-doctor-old", ".distmigrate-doctor-new", ".distmigrate-doctor-lock", "old.img" };
        foreach (var name in names)
        {
            File.WriteAllText(Path.Combine(folder, name), "");
            if (!name.EndsWith("new", StringComparison.Ordinal))
                File.SetLastWriteTimeUtc(Path.Combine(folder, name), TimeProvider.System.GetUtcNow().UtcDateTime.AddHours(-2));
        }
        Assert.Equal(Verdict.Ok, StorageChecks.Run(Find("folder"), Scene(folder)).Verdict);
        Assert.Equal(names[1..].Order(StringComparer.Ordinal), Directory.EnumerateFiles(folder).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_check_that_is_interrupted_ends_and_its_files_can_be_removed()
    {
        using var interrupt = new CancellationTokenSource();
        interrupt.Cancel();
        var scene = Scene(NewFolder(Path.GetTempPath()), interrupt.Token);
        Assert.Throws<OperationCanceledException>(() => StorageChecks.Run(Find("throughput"), scene));
        Assert.Single(Directory.EnumerateFiles(scene.Folder));
        Assert.Empty(scene.Files.RemoveAll());
        Assert.Empty(Directory.EnumerateFiles(scene.Folder));
    }

    [Theory]
    [InlineData("there", "can be written")]
    [InlineData("open", "Others may write")]
    [InlineData("missing", "makes")]
    public void The_runtime_folder_is_private_or_can_be_made(string name, string words)
    {
        var folder = Path.Combine(NewFolder(Path.GetTempPath()), name);
        if (name != "missing")
            Directory.CreateDirectory(folder);
        if (name == "open")
            File.SetUnixFileMode(folder, (UnixFileMode)0x1ff);
        Assert.Contains(words, RuntimeFolderCheck.Look(folder).Found, StringComparison.Ordinal);
        Assert.Equal(name == "open" ? Verdict.Warning : Verdict.Ok, RuntimeFolderCheck.Look(folder).Verdict);
        Assert.Equal(Verdict.Failed, RuntimeFolderCheck.Look(Path.Combine(folder, "gone", "deeper")).Verdict);
    }

    [Fact]
    public void Monitors_are_counted_and_not_opened()
    {
        var folder = NewFolder(Path.GetTempPath());
        File.WriteAllText(Path.Combine(folder, "web1.qmp"), "");
        File.WriteAllText(Path.Combine(folder, "web1.log"), "");
        Assert.StartsWith("1 monitor in ", MonitorsCheck.Look(folder).Found, StringComparison.Ordinal);
        Assert.StartsWith("There is no ", MonitorsCheck.Look(Path.Combine(folder, "gone")).Found, StringComparison.Ordinal);
    }

    private static StorageCheck Find(string id) => StorageChecks.All.Single(check => check.Id == id);

    private static StorageScene Scene(string folder, CancellationToken interrupt = default) =>
        new(folder, Path.Combine(AppContext.BaseDirectory, "distmigrate"), null, TimeProvider.System, interrupt);

    private string NewFolder(string parent)
    {
        var folder = Path.Combine(parent, "dm-doctor-" + Guid.NewGuid().ToString("N")[..8]);
        Directory.CreateDirectory(folder);
        _folders.Add(folder);
        return folder;
    }
}
