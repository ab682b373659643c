namespace DistMigrate.Tests.Lab;

/// <summary>
/// How to start a guest. The target of a load is the same recipe with <see cref="AsTarget"/>: QEMU compares neither sizes nor devices,
/// so two recipes that differ by accident would load and fail later.
/// </summary>
public sealed record GuestRecipe
{
    /// <summary>What runs in the guest.</summary>
    public GuestBoot Boot { get; init; } = new SelfCheckBoot();

    /// <summary>Where its RAM lives.</summary>
    public MemoryKind Memory { get; init; } = MemoryKind.SharedFile;

    /// <summary>RAM in MiB.</summary>
    public int MiB { get; init; } = 64;

    /// <summary>0: one block named pc.ram. 1 to 128: so many NUMA nodes, each with a memory backend and a block mem0, mem1, ... of its own.</summary>
    public int NumaNodes { get; init; }

    /// <summary>Virtual CPUs.</summary>
    public int VCpus { get; init; } = 1;

    /// <summary>With KVM instead of QEMU's translation (TCG); takes <see cref="LabNeeds.Kvm"/>.</summary>
    public bool Kvm { get; init; }

    /// <summary>Where the files of <see cref="MemoryKind.SharedFile"/> are made, each guest in a folder of its own. Null: /dev/shm, or the guest's folder where there is none.</summary>
    public string? MemoryFolder { get; init; }

    /// <summary>An existing folder for the boot files, which are made there unless they are there. Null: the guest's own folder. A guest and its target have the same disks, as the product asks, only when they share one.</summary>
    public string? BootFolder { get; init; }

    /// <summary>A versioned machine; null: the newest q35 of the installed QEMU.</summary>
    public string? Machine { get; init; }

    /// <summary>The guest's <c>-name</c>, or null for none.</summary>
    public string? Name { get; init; }

    /// <summary>Starts with <c>-incoming defer</c>.</summary>
    public bool Incoming { get; init; }

    /// <summary>Starts with <c>-S</c>.</summary>
    public bool StartPaused { get; init; }

    /// <summary>Further QEMU arguments, appended at the end.</summary>
    public IReadOnlyList<string> ExtraArguments { get; init; } = [];

    /// <summary>The same machine, waiting for an image.</summary>
    /// <param name="startPaused">With <c>-S</c>, so that it stands still after the load.</param>
    public GuestRecipe AsTarget(bool startPaused = true) => this with { Incoming = true, StartPaused = startPaused };

    internal void Validate()
    {
        if (MiB < 1 || VCpus < 1 || NumaNodes is < 0 or > 128 || (NumaNodes > 0 && MiB < NumaNodes))
        {
            throw new ArgumentException($"No guest can have {MiB} MiB, {VCpus} vCPUs and {NumaNodes} NUMA nodes.");
        }
    }
}
