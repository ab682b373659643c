namespace DistMigrate.Tests.EndToEnd;

/// <summary>Compares the bytes of two files.</summary>
internal static class FileComparison
{
    private const int ChunkBytes = 1 << 20;

    /// <summary>Fails the test at the first byte in [0, <paramref name="length"/>) that differs or is missing.</summary>
    public static void AssertEqual(string expected, string actual, long length)
    {
        if (FirstDifference(expected, actual, length) is { } offset)
            Assert.Fail($"{actual} differs from {expected} at 0x{offset:x}.");
    }

    /// <summary>Offset of the first byte in [0, <paramref name="length"/>) that differs or is missing; null when there is none.</summary>
    public static long? FirstDifference(string expected, string actual, long length)
    {
        using var one = File.OpenRead(expected);
        using var other = File.OpenRead(actual);
        var oneChunk = new byte[ChunkBytes];
        var otherChunk = new byte[ChunkBytes];
        for (var offset = 0L; offset < length; offset += ChunkBytes)
        {
            var bytes = (int)Math.Min(ChunkBytes, length - offset);
            var oneRead = one.ReadAtLeast(oneChunk.AsSpan(0, bytes), bytes, throwOnEndOfStream: false);
            var otherRead = other.ReadAtLeast(otherChunk.AsSpan(0, bytes), bytes, throwOnEndOfStream: false);
            var same = oneChunk.AsSpan(0, oneRead).CommonPrefixLength(otherChunk.AsSpan(0, otherRead));
            if (same < bytes)
                return offset + same;
        }

        return null;
    }
}
