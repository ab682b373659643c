using System.Globalization;
using DistMigrate.MappedRam;
using DistMigrate.Tests.Lab;
using Xunit.Abstractions;

namespace DistMigrate.Tests.Unit.MappedRam;

/// <summary>
/// Damages a valid image at random. <c>MUTATIONS</c> says how often (default 5000, 100,000 with <c>DISTMIGRATE_FULL=1</c>); <c>SEED</c> repeats a run, whose seed the
/// output and every failure name.
/// </summary>
public sealed class ImageMutationTests(ITestOutputHelper output)
{
    private static readonly TestImage Image = TestImage.Compose();

    private static readonly int[] StructuralBytes = [.. FindStructuralBytes()];

    [Fact]
    public void Every_flip_of_a_bit_in_a_structural_field_is_reported()
    {
        foreach (var at in StructuralBytes)
        {
            for (var bit = 0; bit < 8; bit++)
            {
                Assert.True(
                    ImageVerifier.Verify(Flip(at, bit)).Count > 0, $"bit {bit} of the byte at 0x{at:x} was flipped, and nothing is reported");
            }
        }
    }

    [Fact]
    public void No_mutation_makes_the_verifier_throw_or_run_on_and_the_reader_refuses_what_it_reports()
    {
        var count = FromEnvironment("MUTATIONS", LabPrograms.IsFull ? 100_000 : 5000);
        var seed = FromEnvironment("SEED", Random.Shared.Next());
        output.WriteLine($"SEED={seed} MUTATIONS={count}");
        var random = new Random(seed);
        for (var i = 0; i < count; i++)
        {
            var mutations = random.Next(1, 4);
            ReadOnlyMemory<byte>[] slices = [Image.Bytes];
            var what = "";
            for (; mutations > 0; mutations--)
            {
                (slices, var done) = Mutate(slices, random);
                what += done + "; ";
            }

            var input = new RopeImageInput(slices);
            try
            {
                var violations = ImageVerifier.Verify(input);
                Assert.True(input.BytesRead < 64 * (input.Length + (1 << 20)), $"{input.BytesRead} bytes of an image of {input.Length} were read");
                Assert.All(violations, violation => Assert.InRange(violation.Offset, 0, input.Length));
                if (violations.Count == 0)
                {
                    MappedRamImage.Read(input);
                }
                else
                {
                    Assert.Throws<ImageFormatException>(() => MappedRamImage.Read(input));
                }
            }
            catch (Exception e)
            {
                throw new InvalidOperationException($"SEED={seed}, mutation {i}: {what}", e);
            }
        }
    }

    private static (ReadOnlyMemory<byte>[] Slices, string What) Mutate(ReadOnlyMemory<byte>[] slices, Random random)
    {
        var length = slices.Sum(slice => slice.Length);
        var at = Place(random, length);
        switch (random.Next(5))
        {
            case 0:
                return ([.. Take(slices, 0, at)], $"cut at {at}");
            case 1:
                var bit = random.Next(8);
                var old = Take(slices, at, at + 1).FirstOrDefault();
                var flipped = old.IsEmpty ? (byte)0 : (byte)(old.Span[0] ^ (1 << bit));
                return ([.. Take(slices, 0, at), new byte[] { flipped }, .. Take(slices, at + 1, length)], $"flip bit {bit} at {at}");
            case 2:
                var bytes = new byte[random.Next(1, 64)];
                random.NextBytes(bytes);
                return ([.. Take(slices, 0, at), bytes, .. Take(slices, at + bytes.Length, length)], $"{bytes.Length} random bytes at {at}");
            case 3:
                var count = random.Next(1, 5000);
                return ([.. Take(slices, 0, at), .. Take(slices, at + count, length)], $"remove {count} at {at}");
            default:
                var from = Place(random, length);
                var to = Math.Min(from + random.Next(1, 5000), length);
                return ([.. Take(slices, 0, at), .. Take(slices, from, to), .. Take(slices, at, length)], $"insert {from}..{to} at {at}");
        }
    }

    /// <summary>A place in the image; mostly near its structure, which is a small part of it.</summary>
    private static int Place(Random random, int length) =>
        Math.Min(random.Next(4) == 0 ? random.Next(length + 1) : StructuralBytes[random.Next(StructuralBytes.Length)] + random.Next(-2, 3), length);

    private static IEnumerable<ReadOnlyMemory<byte>> Take(IEnumerable<ReadOnlyMemory<byte>> slices, int from, int to)
    {
        var start = 0;
        foreach (var slice in slices)
        {
            var first = Math.Clamp(from - start, 0, slice.Length);
            var end = Math.Clamp(to - start, first, slice.Length);
            if (end > first)
            {
                yield return slice[first..end];
            }

            start += slice.Length;
        }
    }

    private static RopeImageInput Flip(int at, int bit)
    {
        ReadOnlyMemory<byte> bytes = Image.Bytes;
        return new RopeImageInput(bytes[..at], new[] { (byte)(Image.Bytes[at] ^ (1 << bit)) }, bytes[(at + 1)..]);
    }

    /// <summary>
    /// Everything but machine name and RAMBlock names, which only the guest can judge, the payloads of devices, the pages, and
    /// the bits of pages in the bitmaps.
    /// </summary>
    private static IEnumerable<int> FindStructuralBytes()
    {
        foreach (var at in Enumerable.Range(0, 0x0d).Concat(Enumerable.Range(TestImage.Subsection, 0x60 - TestImage.Subsection)))
        {
            yield return at;
        }

        foreach (var block in new[] { TestImage.Ram, TestImage.Bios, TestImage.Rsdp })
        {
            var layout = Image.Layout[block.Name];
            yield return (int)layout.HeaderOffset;
            for (var at = Image.UsedLengthOf(block); at < layout.BitmapOffset; at++)
            {
                yield return at;
            }

            for (var at = (layout.PageCount + 7) / 8; at < layout.BitmapLength; at++)
            {
                yield return (int)(layout.BitmapOffset + at);
            }
        }

        for (var at = Image.Tail; at < Image.FirstDevice; at++)
        {
            yield return at;
        }

        foreach (var section in Image.Read().Sections.Where(section => section.Kind == SectionKind.Full))
        {
            for (var at = 0; at < 6 + section.Name.Length + 8; at++)
            {
                yield return (int)section.Offset + at;
            }

            for (var at = section.Length - StreamFormat.FooterLength; at < section.Length; at++)
            {
                yield return (int)(section.Offset + at);
            }
        }

        for (var at = Image.Eof; at < Image.DescriptionLength + 4; at++)
        {
            yield return at;
        }
    }

    private static int FromEnvironment(string name, int otherwise) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), CultureInfo.InvariantCulture, out var value) ? value : otherwise;
}
