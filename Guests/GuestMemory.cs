namespace DistMigrate.Guests;

/// <summary>Chooses how a RAMBlock is read, by what QEMU's process maps at its address.</summary>
internal static class GuestMemory
{
    /// <summary>Opens a RAMBlock's memory.</summary>
    /// <exception cref="GuestException">MemoryUnreadable, or Exited.</exception>
    public static IGuestMemory Open(int pid, RamBlock block) => Open(pid, ProcessFiles.Mappings(pid), block);

    /// <summary>Opens a RAMBlock's memory, where the process's mappings have just been read.</summary>
    /// <exception cref="GuestException">MemoryUnreadable, or Exited.</exception>
    public static IGuestMemory Open(int pid, List<ProcessMapping> mappings, RamBlock block)
    {
        var covering = Covering(pid, mappings, block);
        if (!ProcessMapping.IsOneSharedFile(covering))
            return new PrivateMemory(pid, block);
        var first = covering[0];
        var file = MappedFile.TryOpen(pid, first);
        if (file is null)
            return new PrivateMemory(pid, block);
        var start = first.Offset + (long)(block.HostAddress - first.Start);
        return new SharedFileMemory(file, start, block, HasNoName(first.Path) ? GuestMemoryKind.Memfd : GuestMemoryKind.SharedFile);
    }

    /// <summary>What maps the RAMBlock now.</summary>
    public static IReadOnlyList<ProcessMapping> Covering(int pid, RamBlock block) => Covering(pid, ProcessFiles.Mappings(pid), block);

    private static IReadOnlyList<ProcessMapping> Covering(int pid, List<ProcessMapping> mappings, RamBlock block)
    {
        if (mappings.Count == 0)
            throw ProcessFiles.Gone(pid);
        var covering = ProcessMapping.Covering(mappings, block.HostAddress, Math.Max(block.UsedLength, 1));
        return covering.Count > 0 ? covering : throw new GuestException(GuestFault.MemoryUnreadable,
            $"Process {pid} does not map RAMBlock {block.Name} at 0x{block.HostAddress:x}. Either the RAMBlock was unplugged, or the QMP socket is a proxy of another process: give QEMU's own socket.");
    }

    private static bool HasNoName(string path) =>
        path.StartsWith("/memfd:", StringComparison.Ordinal) || path.StartsWith("/dev/zero", StringComparison.Ordinal)
        || path.StartsWith("/anon_hugepage", StringComparison.Ordinal);
}
