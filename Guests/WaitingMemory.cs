using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>The memory of a RAMBlock of a QEMU that waits for a guest, to be filled from outside. Writing needs the ptrace right on its process.</summary>
public sealed class WaitingMemory : IDisposable
{
    private readonly int _pid;
    private readonly RamBlock _block;
    private readonly Descriptor _memory;

    internal WaitingMemory(int pid, RamBlock block)
    {
        _pid = pid;
        _block = block;
        _memory = ProcessFiles.Open(pid, "mem", OpenFlags.ReadWrite);
    }

    /// <summary>The RAMBlock's name.</summary>
    public string Name => _block.Name;

    /// <summary>Its length in bytes.</summary>
    public long Length => _block.UsedLength;

    /// <summary>Writes bytes. May be called from several threads at once, for different bytes.</summary>
    /// <exception cref="GuestException">Exited, or MemoryUnreadable: it may not be written.</exception>
    public void Write(long offset, ReadOnlySpan<byte> bytes)
    {
        if (offset < 0 || offset > Length - bytes.Length)
            throw new ArgumentOutOfRangeException(nameof(offset), $"{offset} + {bytes.Length} lies outside RAMBlock {Name} of {Length} bytes.");
        for (var done = 0; done < bytes.Length;)
        {
            var written = Libc.PWrite(_memory, bytes[done..], (long)_block.HostAddress + offset + done, out var errno);
            if (written == 0 || (written < 0 && errno == Errno.ESRCH))
                throw ProcessFiles.Gone(_pid);
            if (written < 0)
            {
                throw new GuestException(GuestFault.MemoryUnreadable,
                    $"RAMBlock {Name} of the waiting QEMU (process {_pid}) cannot be written: {errno}. Check that the silo may trace it.");
            }

            done += written;
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _memory.Dispose();
}
