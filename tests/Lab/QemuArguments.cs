using System.Globalization;

namespace DistMigrate.Tests.Lab;

/// <summary>The memory part of a QEMU command line.</summary>
internal static class QemuArguments
{
    /// <summary>A value inside a comma-separated option: QEMU reads two commas as one.</summary>
    public static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    /// <summary>With hardware's help. The default CPU is what every KVM can run, also one inside a virtual machine.</summary>
    public static IReadOnlyList<string> Kvm { get; } = ["-accel", "kvm", "-cpu", "qemu64"];

    /// <summary>
    /// Backends and NUMA nodes of the recipe. A single block is called pc.ram whatever its kind, so that images of one kind load into
    /// guests of another; the blocks of several nodes are called mem0, mem1, ...
    /// </summary>
    public static IReadOnlyList<string> Memory(GuestRecipe recipe, string memoryFolder)
    {
        var arguments = new List<string> { "-m", $"{Text(recipe.MiB)}M", "-smp", Text(recipe.VCpus) };
        if (recipe.NumaNodes == 0)
        {
            if (recipe.Memory != MemoryKind.Private)
            {
                arguments.AddRange(["-object", Backend(recipe, "pc.ram", recipe.MiB, memoryFolder)]);
            }

            return arguments;
        }

        var each = recipe.MiB / recipe.NumaNodes;
        for (var node = 0; node < recipe.NumaNodes; node++)
        {
            var id = $"mem{Text(node)}";
            var size = node == recipe.NumaNodes - 1 ? recipe.MiB - (each * node) : each;
            var cpus = node == 0 ? $",cpus=0-{Text(recipe.VCpus - 1)}" : "";
            arguments.AddRange(["-object", Backend(recipe, id, size, memoryFolder)]);
            arguments.AddRange(["-numa", $"node,nodeid={Text(node)},memdev={id}{cpus}"]);
        }

        return arguments;
    }

    private static string Backend(GuestRecipe recipe, string id, int mib, string memoryFolder) => recipe.Memory switch
    {
        MemoryKind.SharedFile => $"memory-backend-file,id={id},size={Text(mib)}M,share=on,mem-path={Escape(Path.Combine(memoryFolder, id))}",
        MemoryKind.Memfd => $"memory-backend-memfd,id={id},size={Text(mib)}M,share=on",
        _ => $"memory-backend-ram,id={id},size={Text(mib)}M",
    };

    private static string Text(int value) => value.ToString(CultureInfo.InvariantCulture);
}
