using System.Runtime.InteropServices;
using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>
/// A RAMBlock in memory of QEMU alone, read through /proc/PID/mem. The pagemap tells which pages were never touched: in
/// anonymous memory those are zeros, in a private mapping of a file they read as the file does, so only its holes are left out.
/// </summary>
internal sealed class PrivateMemory : IGuestMemory
{
    // proc_pid_pagemap(5): bit 63 present, bit 62 swapped. A page under migration by the kernel counts as swapped.
    private const ulong PresentOrSwapped = 3UL << 62;
    private const int EntriesPerRead = 64 * 1024;

    private readonly int _pid;
    private readonly RamBlock _block;
    private readonly Descriptor _memory;
    private readonly Descriptor _pagemap;

    public PrivateMemory(int pid, RamBlock block)
    {
        _pid = pid;
        _block = block;
        _memory = ProcessFiles.Open(pid, "mem");
        try
        {
            _pagemap = ProcessFiles.Open(pid, "pagemap");
        }
        catch
        {
            _memory.Dispose();
            throw;
        }
    }

    public GuestMemoryKind Kind => GuestMemoryKind.Private;

    // QEMU streams private memory even when a memory-backend-file is behind it.
    public bool IsNamedFile => false;

    public long Length => _block.UsedLength;

    public IReadOnlyList<PageRun> DataRuns()
    {
        var runs = new PageRunList(Length);
        var end = _block.HostAddress + (ulong)Length;
        foreach (var mapping in GuestMemory.Covering(_pid, _block))
        {
            var from = Math.Max(mapping.Start, _block.HostAddress);
            var to = Math.Min(mapping.End, end);
            if (to <= from)
                continue;
            foreach (var (start, behind) in Touched(mapping, from, to))
                runs.Add((long)(start - _block.HostAddress), (long)(behind - _block.HostAddress));
        }

        return runs.Runs;
    }

    public void Read(long offset, Span<byte> destination)
    {
        if (offset < 0 || offset > Length - destination.Length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{offset} + {destination.Length} lies outside RAMBlock {_block.Name} of {Length} bytes.");
        try
        {
            Libc.PReadExactly(_memory, destination, (long)_block.HostAddress + offset);
        }
        catch (EndOfStreamException e)
        {
            // The open file outlives the process; once its memory is gone it reads as empty.
            throw ProcessFiles.Gone(_pid, e);
        }
        catch (ErrnoException e) when (e.Errno is Errno.ESRCH)
        {
            throw ProcessFiles.Gone(_pid, e);
        }
        catch (ErrnoException e)
        {
            throw Unreadable(e);
        }
    }

    public void Dispose()
    {
        _memory.Dispose();
        _pagemap.Dispose();
    }

    private IEnumerable<(ulong Start, ulong End)> Touched(ProcessMapping mapping, ulong from, ulong to)
    {
        if (!mapping.Shared && mapping.IsAnonymous)
            return Present(from, to);
        using var file = mapping.Shared ? null : MappedFile.TryOpen(_pid, mapping);
        var start = mapping.Offset + (long)(from - mapping.Start);
        return file is not null && Libc.TryExtents(file, start, start + (long)(to - from)) is { } extents
            ? Present(from, to).Concat(extents.Select(e => (from + (ulong)(e.Start - start), from + (ulong)(e.End - start)))).OrderBy(range => range.Item1)
            : [(from, to)];
    }

    private List<(ulong Start, ulong End)> Present(ulong from, ulong to)
    {
        var ranges = new List<(ulong, ulong)>();
        var hostPage = (ulong)Environment.SystemPageSize;
        var entries = new ulong[(int)Math.Min(EntriesPerRead, (to - from + hostPage - 1) / hostPage)];
        for (var address = from; address < to;)
        {
            var count = (int)Math.Min((ulong)entries.Length, (to - address + hostPage - 1) / hostPage);
            var part = entries.AsSpan(0, count);
            try
            {
                Libc.PReadExactly(_pagemap, MemoryMarshal.AsBytes(part), (long)(address / hostPage * sizeof(ulong)));
            }
            catch (EndOfStreamException e)
            {
                throw ProcessFiles.Gone(_pid, e);
            }
            catch (ErrnoException e)
            {
                throw Unreadable(e);
            }

            for (var i = 0; i < count; i++)
            {
                if ((part[i] & PresentOrSwapped) == 0)
                    continue;
                var first = i;
                while (i + 1 < count && (part[i + 1] & PresentOrSwapped) != 0)
                    i++;
                ranges.Add((address + ((ulong)first * hostPage), Math.Min(address + ((ulong)(i + 1) * hostPage), to)));
            }

            address += (ulong)count * hostPage;
        }

        return ranges;
    }

    private GuestException Unreadable(ErrnoException e) => new(GuestFault.MemoryUnreadable,
        $"The memory of RAMBlock {_block.Name} in QEMU (pid {_pid}) cannot be read: {e.Message} Memory that QEMU itself may not touch, such as an encrypted guest's, cannot be saved from outside.", e);
}
