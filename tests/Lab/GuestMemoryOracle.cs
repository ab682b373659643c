using Xunit;

namespace DistMigrate.Tests.Lab;

/// <summary>Says whether two guests, or a guest and an earlier moment of it, have the same memory. It shares no code with the product.</summary>
public static class GuestMemoryOracle
{
    private const int PageSize = 4096;
    private const int ChunkBytes = 1 << 20;

    /// <summary>Takes every RAMBlock of a guest that stands still.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    /// <exception cref="InvalidOperationException">The guest runs: its pages would be of different moments.</exception>
    public static async Task<MemorySnapshot> CaptureAsync(QemuProcess guest, CancellationToken cancellationToken = default)
    {
        var state = await guest.Monitor.RunStateAsync(cancellationToken);
        if (state == "running")
        {
            throw new InvalidOperationException("A running guest has no single state of its memory: stop it first.");
        }

        var blocks = await RamBlock.ListAsync(guest, cancellationToken);
        var snapshot = new MemorySnapshot();
        using var reader = new BlockReader(guest.Pid);
        var buffer = new byte[ChunkBytes];
        foreach (var block in blocks)
        {
            var pages = snapshot.Add(block.Name, block.UsedLength);
            for (var offset = 0L; offset < block.UsedLength; offset += ChunkBytes)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var chunk = buffer.AsSpan(0, (int)Math.Min(ChunkBytes, block.UsedLength - offset));
                reader.Read(block.HostAddress + offset, chunk);
                for (var at = 0; at < chunk.Length; at += PageSize)
                {
                    pages[(offset + at) / PageSize] = MemorySnapshot.HashOf(chunk.Slice(at, PageSize));
                }
            }
        }

        return snapshot;
    }

    /// <summary>One page of a guest's memory.</summary>
    /// <param name="guest">The guest.</param>
    /// <param name="block">The block's name.</param>
    /// <param name="page">Number of the page in its block.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public static async Task<byte[]> ReadPageAsync(QemuProcess guest, string block, long page, CancellationToken cancellationToken = default)
    {
        var blocks = await RamBlock.ListAsync(guest, cancellationToken);
        using var reader = new BlockReader(guest.Pid);
        var bytes = new byte[PageSize];
        reader.Read(blocks.Single(candidate => candidate.Name == block).HostAddress + (page * PageSize), bytes);
        return bytes;
    }

    /// <summary>Fails the test with the differing pages unless both are equal.</summary>
    /// <param name="expected">The source at the time of the stop.</param>
    /// <param name="actual">What came of it.</param>
    /// <param name="except">Block and page that may differ; null for none.</param>
    public static void AssertEqual(MemorySnapshot expected, MemorySnapshot actual, Func<string, long, bool>? except = null)
    {
        if (expected.DifferenceTo(actual, except) is { } difference)
        {
            Assert.Fail($"The memory is not the same:\n{difference}");
        }
    }
}
