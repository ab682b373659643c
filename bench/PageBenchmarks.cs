using System.IO.Hashing;
using BenchmarkDotNet.Attributes;
using DistMigrate.MappedRam;

namespace DistMigrate.Bench;

/// <summary>The zero test and the hash, per page, over an extent in the cache.</summary>
public class PageBenchmarks
{
    private const int Pages = 256;

    private readonly byte[] _data = new byte[Pages * Page.Size];
    private readonly byte[] _zeros = new byte[Pages * Page.Size];

    [GlobalSetup]
    public void Setup() => new Random(1).NextBytes(_data);

    [Benchmark(OperationsPerInvoke = Pages)]
    public int ZeroTestOfData() => CountZero(_data);

    [Benchmark(OperationsPerInvoke = Pages)]
    public int ZeroTestOfZeros() => CountZero(_zeros);

    [Benchmark(OperationsPerInvoke = Pages)]
    public UInt128 Hash()
    {
        var sum = default(UInt128);
        for (var i = 0; i < Pages; i++)
            sum ^= XxHash128.HashToUInt128(_data.AsSpan(i * Page.Size, Page.Size));
        return sum;
    }

    private static int CountZero(byte[] bytes)
    {
        var zero = 0;
        for (var i = 0; i < Pages; i++)
            zero += bytes.AsSpan(i * Page.Size, Page.Size).ContainsAnyExcept((byte)0) ? 0 : 1;
        return zero;
    }
}
