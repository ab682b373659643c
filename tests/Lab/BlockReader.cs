using System.Buffers.Binary;
using System.Globalization;
using Microsoft.Win32.SafeHandles;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// Reads the bytes of a RAMBlock out of a QEMU process without changing what is allocated in it: reading a hole of shared memory through
/// the process would fill it, and a test of sparse images after that would see another guest. So shared memory is read from its file, and
/// of anonymous memory only pages that exist.
/// </summary>
internal sealed class BlockReader : IDisposable
{
    private const int PageSize = 4096;

    // pagemap (Documentation/admin-guide/mm/pagemap.rst): bit 63 present, bit 62 swapped.
    private const ulong PresentOrSwapped = 3UL << 62;

    private readonly string _processFolder;
    private readonly IReadOnlyList<ProcessMapping> _mappings;
    private readonly SafeFileHandle _memory;
    private readonly SafeFileHandle _pageMap;
    private readonly Dictionary<long, SafeFileHandle> _files = [];

    public BlockReader(int pid)
    {
        _processFolder = $"/proc/{pid.ToString(CultureInfo.InvariantCulture)}";
        _mappings = ProcessMapping.Read(pid);
        _memory = Open("mem");
        _pageMap = Open("pagemap");
    }

    /// <summary>Fills <paramref name="buffer"/>, whole pages, with the memory at a page-aligned address of the process.</summary>
    public void Read(long address, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var mapping = _mappings.FirstOrDefault(m => m.Start <= address && address < m.End)
                ?? throw new InvalidOperationException($"Address {address:x} is not mapped in the QEMU process.");
            var part = buffer[..(int)Math.Min(buffer.Length, mapping.End - address)];
            if (mapping is { IsShared: true, Inode: not 0 })
            {
                ReadFully(File(mapping.Inode), mapping.FileOffset + (address - mapping.Start), part);
            }
            else if (mapping.Inode == 0)
            {
                ReadAnonymous(address, part);
            }
            else
            {
                ReadFully(_memory, address, part);
            }

            address += part.Length;
            buffer = buffer[part.Length..];
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        _pageMap.Dispose();
        foreach (var file in _files.Values)
        {
            file.Dispose();
        }
    }

    private static void ReadFully(SafeFileHandle handle, long offset, Span<byte> buffer)
    {
        while (!buffer.IsEmpty)
        {
            var read = RandomAccess.Read(handle, buffer, offset);
            if (read == 0)
            {
                throw new EndOfStreamException($"The memory of the guest ends at {offset:x}.");
            }

            offset += read;
            buffer = buffer[read..];
        }
    }

    private void ReadAnonymous(long address, Span<byte> buffer)
    {
        var pages = buffer.Length / PageSize;
        var entries = new byte[pages * sizeof(ulong)];
        ReadFully(_pageMap, address / PageSize * sizeof(ulong), entries);
        for (var page = 0; page < pages;)
        {
            var exists = Exists(page);
            var end = page + 1;
            while (end < pages && Exists(end) == exists)
            {
                end++;
            }

            var run = buffer[(page * PageSize)..(end * PageSize)];
            if (exists)
            {
                ReadFully(_memory, address + ((long)page * PageSize), run);
            }
            else
            {
                run.Clear();
            }

            page = end;
        }

        bool Exists(int page) => (BinaryPrimitives.ReadUInt64LittleEndian(entries.AsSpan(page * sizeof(ulong))) & PresentOrSwapped) != 0;
    }

    private SafeFileHandle Open(string name) =>
        System.IO.File.OpenHandle($"{_processFolder}/{name}", FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

    // QEMU keeps the descriptor of each shared backend open, also of one that has no name.
    private SafeFileHandle File(long inode)
    {
        if (_files.TryGetValue(inode, out var known))
        {
            return known;
        }

        var line = $"ino:\t{inode.ToString(CultureInfo.InvariantCulture)}";
        foreach (var info in Directory.EnumerateFiles($"{_processFolder}/fdinfo"))
        {
            if (System.IO.File.ReadLines(info).Contains(line))
            {
                return _files[inode] = Open($"fd/{Path.GetFileName(info)}");
            }
        }

        throw new InvalidOperationException($"The QEMU process has no descriptor for the shared memory of inode {inode}.");
    }
}
