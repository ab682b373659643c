using System.Text.Json;
using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class GuestDescriptionTests
{
    private static readonly GuestDescription Saved = new()
    {
        QemuVersion = "10.0.2",
        Machine = "pc-q35-10.0",
        VcpuCount = 2,
        CpuModel = "qemu64-x86_64-cpu",
        RamBlocks = [new("pc.ram", 1 << 29, 1 << 29), new("/rom@etc/acpi/tables", 0x20000, 0x200000)],
        Devices = new SortedDictionary<string, string>(StringComparer.Ordinal)
        {
            ["/machine/peripheral/disk0"] = "virtio-blk-pci",
            ["/machine/peripheral-anon/device[0]"] = "virtio-rng-pci",
            ["/machine/unattached/device[1]"] = "hpet",
            ["/machine/unattached/device[2]"] = "isa-serial",
        },
        Disks = [new("d0", "#block1", "/srv/d0.qcow2", false), new("cd", null, null, false)],
        Arguments = ["qemu-system-x86_64"],
    };

    [Fact]
    public void A_guest_does_not_differ_from_itself_on_another_host_with_a_newer_QEMU() =>
        Assert.Empty(GuestDescription.Differences(Saved, Saved with
        {
            QemuVersion = "10.2.0",
            Arguments = [],
            Disks = [new("d0", "#block99", "/srv/d0.qcow2", false), new("cd", null, null, false)],
            Devices = new SortedDictionary<string, string>(StringComparer.Ordinal)
            {
                ["/machine/peripheral/disk0"] = "virtio-blk-pci",
                ["/machine/peripheral-anon/device[3]"] = "virtio-rng-pci",
                ["/machine/unattached/device[2]"] = "hpet",
                ["/machine/unattached/device[1]"] = "isa-serial",
            },
        }));

    [Fact]
    public void Each_difference_that_matters_is_one_sentence_with_both_values()
    {
        Differs(Saved with { QemuVersion = "9.2.4" }, "9.2.4", "10.0.2");
        Differs(Saved with { Machine = "pc-q35-9.2" }, "pc-q35-9.2", "pc-q35-10.0");
        Differs(Saved with { VcpuCount = 4 }, "2", "4");
        Differs(Saved with { CpuModel = "max-x86_64-cpu" }, "max-x86_64-cpu", "qemu64-x86_64-cpu");
        Differs(Saved with { RamBlocks = [new("pc.ram", 1 << 30, 1 << 29), Saved.RamBlocks[1]] }, "pc.ram", "1073741824", "536870912");
        Differs(Saved with { RamBlocks = [Saved.RamBlocks[0], new("/rom@etc/acpi/tables", 0x20000, 0x400000)] }, "/rom@etc/acpi/tables", "4194304", "2097152");
        Differs(Saved with { RamBlocks = [Saved.RamBlocks[0]] }, "/rom@etc/acpi/tables", "missing");
        Differs(Saved with { RamBlocks = [.. Saved.RamBlocks, new("mem1", 4096, 4096)] }, "mem1", "not in the image");
        Differs(WithDevice("/machine/peripheral/disk0", null), "disk0", "virtio-blk-pci", "missing");
        Differs(WithDevice("/machine/peripheral/disk0", "virtio-scsi-pci"), "disk0", "virtio-blk-pci", "virtio-scsi-pci");
        Differs(WithDevice("/machine/peripheral/net0", "virtio-net-pci"), "net0", "not in the image");
        Differs(WithDevice("/machine/peripheral-anon/device[1]", "virtio-rng-pci"), "virtio-rng-pci", "1 in the image", "2 in the target");
        Differs(WithDevice("/machine/unattached/device[1]", null), "hpet", "1 in the image", "0 in the target");
        Differs(Saved with { Disks = [new("d0", "#block1", "/srv/other.qcow2", false), Saved.Disks[1]] }, "/srv/d0.qcow2", "/srv/other.qcow2");
        Differs(Saved with { Disks = [new("d0", "#block1", "/srv/d0.qcow2", true), Saved.Disks[1]] }, "writable", "read-only");
        Differs(Saved with { Disks = [Saved.Disks[0]] }, "cd", "missing");
    }

    [Fact]
    public void Devices_of_another_machine_are_not_listed_one_by_one() =>
        Assert.Single(GuestDescription.Differences(Saved, WithDevice("/machine/unattached/device[1]", null) with { Machine = "pc-i440fx-10.0" }));

    [Fact]
    public void It_survives_JSON()
    {
        var text = JsonSerializer.Serialize(Saved, GuestDescriptionJson.Default.GuestDescription);
        var back = JsonSerializer.Deserialize(text, GuestDescriptionJson.Default.GuestDescription)!;
        Assert.Empty(GuestDescription.Differences(Saved, back));
        Assert.Equal(text, JsonSerializer.Serialize(back, GuestDescriptionJson.Default.GuestDescription));
    }

    private static GuestDescription WithDevice(string path, string? type)
    {
        var devices = new SortedDictionary<string, string>(Saved.Devices.ToDictionary(), StringComparer.Ordinal);
        devices.Remove(path);
        if (type is not null)
            devices[path] = type;
        return Saved with { Devices = devices };
    }

    private static void Differs(GuestDescription target, params string[] words)
    {
        var difference = Assert.Single(GuestDescription.Differences(Saved, target));
        Assert.All(words, word => Assert.Contains(word, difference, StringComparison.Ordinal));
        Assert.EndsWith(".", difference, StringComparison.Ordinal);
    }
}
