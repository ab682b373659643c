using System.Runtime.InteropServices;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>A file that is written block by block with nothing between the test and the kernel, so that every sign of a fault is seen as it came.</summary>
internal sealed unsafe partial class PlainFile : IDisposable
{
    /// <summary>Bytes of a block.</summary>
    public const int BlockLength = 1 << 20;

    private const int Alignment = 4096;
    private const int ReadWrite = 2;
    private const int Create = 0x40;
    private const int Direct = 0x4000;
    private const int CloseOnExec = 0x80000;
    private const int OwnerOnly = 0x180;

    private readonly byte* _block = (byte*)NativeMemory.AlignedAlloc(BlockLength, Alignment);
    private int _descriptor;

    private PlainFile(int descriptor)
    {
        _descriptor = descriptor;
        new Random(1).NextBytes(new Span<byte>(_block, BlockLength));
    }

    /// <summary>Opens a file, which is made if it is not there.</summary>
    public static PlainFile Open(string path, bool direct = false)
    {
        var descriptor = open(path, ReadWrite | Create | CloseOnExec | (direct ? Direct : 0), OwnerOnly);
        return descriptor >= 0 ? new PlainFile(descriptor) : throw new IOException($"open of {path}: {LastError()}");
    }

    /// <summary>Writes a block at its place.</summary>
    /// <returns><c>ok</c>, <c>short</c>, or the name of the error.</returns>
    public string Write(int number)
    {
        // Contents that tell the blocks apart.
        *(int*)_block = number;
        var written = pwrite(_descriptor, _block, BlockLength, (long)number * BlockLength);
        return written == BlockLength ? "ok" : written >= 0 ? "short" : LastError();
    }

    /// <summary>fsync(2).</summary>
    /// <returns><c>ok</c> or the name of the error.</returns>
    public string Sync() => fsync(_descriptor) == 0 ? "ok" : LastError();

    /// <summary>Writes a block and calls fsync.</summary>
    /// <returns><c>ok</c>, or what came instead.</returns>
    public string WriteAndSync(int number) => Write(number) is var written and not "ok" ? written : Sync();

    /// <summary>The same on a thread of its own, because it may take long.</summary>
    public Task<string> WriteOnThreadAsync(int number) =>
        Task.Factory.StartNew(() => WriteAndSync(number), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);

    /// <summary>close(2).</summary>
    /// <returns><c>ok</c> or the name of the error.</returns>
    public string Close()
    {
        var descriptor = _descriptor;
        _descriptor = -1;
        return close(descriptor) == 0 ? "ok" : LastError();
    }

    /// <summary>Asserts that the blocks from 0 on are in the file, as they were written.</summary>
    public static void ExpectBlocks(string path, int count)
    {
        using var file = File.OpenHandle(path);
        using var expected = new PlainFile(-1);
        var found = new byte[BlockLength];
        for (var number = 0; number < count; number++)
        {
            *(int*)expected._block = number;
            Assert.Equal(BlockLength, RandomAccess.Read(file, found, (long)number * BlockLength));
            Assert.True(found.AsSpan().SequenceEqual(new ReadOnlySpan<byte>(expected._block, BlockLength)), $"Block {number} of {path} is not what was written.");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_descriptor >= 0)
            _ = close(_descriptor);
        NativeMemory.AlignedFree(_block);
    }

    private static string LastError() => Marshal.GetLastPInvokeError() switch
    {
        5 => "EIO",
        28 => "ENOSPC",
        30 => "EROFS",
        107 => "ENOTCONN",
        110 => "ETIMEDOUT",
        116 => "ESTALE",
        var number => $"errno {number}",
    };

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, uint mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial nint pwrite(int descriptor, byte* bytes, nint length, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(int descriptor);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int close(int descriptor);
}
