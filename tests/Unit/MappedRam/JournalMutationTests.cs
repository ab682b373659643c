using System.Diagnostics;
using System.Globalization;
using DistMigrate.MappedRam.Journal;
using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Unit.MappedRam;

/// <summary>
/// Damages a valid journal at random. <c>MUTATIONS</c> says how often (default 5000, 100,000 with <c>DISTMIGRATE_FULL=1</c>); <c>SEED</c>
/// repeats a run, whose seed the output and every failure name.
/// </summary>
public sealed class JournalMutationTests(ITestOutputHelper output)
{
    private const int Sector = 512;

    [Fact]
    public void A_damaged_journal_is_refused_or_says_what_it_said_at_some_moment()
    {
        var count = FromEnvironment("MUTATIONS", LabPrograms.IsFull ? 100_000 : 5000);
        var seed = FromEnvironment("SEED", Random.Shared.Next());
        output.WriteLine($"SEED={seed} MUTATIONS={count}");
        var random = new Random(seed);
        var script = JournalScript.Everything();
        var other = JournalScript.Everything();
        var seal = script.Bytes.AsSpan(script.LastSeal, JournalEncoder.RecordLength(0)).ToArray();
        var (refused, cut) = (0, 0);
        for (var i = 0; i < count; i++)
        {
            var bytes = script.Bytes;
            var what = "";
            for (var mutations = random.Next(1, 4); mutations > 0; mutations--)
            {
                (bytes, var done) = Mutate(bytes, other.Bytes, random);
                what += done + "; ";
            }

            var start = Stopwatch.GetTimestamp();
            try
            {
                var input = new RopeImageInput(bytes);
                var state = new JournalState();
                var end = JournalReader.Replay(input, state);
                Assert.True(input.BytesRead <= 8 * input.Length, $"{input.BytesRead} bytes of a journal of {input.Length} were read");

                // With the other's beginning it is the other.
                var isOther = end.Identity?.ImageId == other.Identity.ImageId;
                var said = end.IsEmpty ? JournalScript.Empty : JournalModel.Print(state);
                Assert.Contains(((int)end.ValidLength, said), (isOther ? other : script).Prefixes);
                Assert.True(isOther || end.ValidLength >= script.LastSeal || bytes.AsSpan().IndexOf(seal) < 0, "a durable record was lost, although the last seal is there");
                cut++;
            }
            catch (JournalException)
            {
                refused++;
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"SEED={seed}, mutation {i}: {what}", e);
            }

            Assert.True(Stopwatch.GetElapsedTime(start) < TimeSpan.FromSeconds(10), $"SEED={seed}, mutation {i}: {what} takes too long");
        }

        output.WriteLine($"{refused} refused, {cut} cut");
        Assert.True(refused > 0 && cut > 0);
    }

    /// <summary>Changes a journal.</summary>
    private static (byte[] Bytes, string What) Mutate(byte[] bytes, byte[] other, Random random)
    {
        var at = random.Next(bytes.Length + 1);
        var from = random.Next(bytes.Length + 1);
        var to = random.Next(from, bytes.Length + 1);
        if (random.Next(2) == 0)
        {
            (at, from, to) = (at & ~7, from & ~7, to & ~7);
        }

        switch (random.Next(8))
        {
            case 0:
                return (bytes[..at], $"cut at {at}");
            case 1:
                var bit = random.Next(8);
                bytes = [.. bytes];
                if (at < bytes.Length)
                {
                    bytes[at] ^= (byte)(1 << bit);
                }

                return (bytes, $"flip bit {bit} at {at}");
            case 2:
                var noise = new byte[random.Next(1, 64)];
                random.NextBytes(noise);
                return ([.. bytes[..at], .. noise, .. bytes[at..]], $"insert {noise.Length} random bytes at {at}");
            case 3:
                return ([.. bytes[..from], .. bytes[to..]], $"remove {from}..{to}");
            case 4:
                return ([.. bytes[..at], .. bytes[from..to], .. bytes[at..]], $"insert {from}..{to} at {at}");
            case 5:
                bytes = [.. bytes];
                var sector = at / Sector * Sector;
                bytes.AsSpan(sector, Math.Min(Sector, bytes.Length - sector)).Clear();
                return (bytes, $"zero the sector at {sector}");
            case 6:
                var end = Math.Min(to, other.Length);
                return ([.. bytes[..at], .. other[Math.Min(from, end)..end], .. bytes[at..]], $"insert {from}..{end} of another at {at}");
            default:
                return ([.. bytes, .. bytes[from..to]], $"repeat {from}..{to} at the end");
        }
    }

    private static int FromEnvironment(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
