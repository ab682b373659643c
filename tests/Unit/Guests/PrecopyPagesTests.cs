using System.Buffers.Binary;
using System.Text;
using CsCheck;
using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Unit.Guests;

/// <summary>What a precopy stream tells of pages, and what becomes of a stream that is cut or holds garbage.</summary>
public sealed class PrecopyPagesTests
{
    private const int Pages = 8;

    private static readonly Gen<(int Block, int Page, bool IsZero)[][]> GenSections =
        Gen.Select(Gen.Int[0, 1], Gen.Int[0, Pages - 1], Gen.Bool).Array[0, 20].Array[1, 5];

    [Fact]
    public void Every_record_reaches_the_sink_in_order_with_its_content() => GenSections.Sample(
        sections =>
        {
            var sink = new Recorder();
            PrecopyStream.Read(new MemoryStream(Stream(sections)), sink);
            Assert.Equal(["pc.ram", "pc.bios"], sink.Blocks.Select(block => block.Name));
            Assert.Equal(sections.SelectMany(section => section).Select(record => (record.Block, (long)record.Page, record.IsZero ? 0 : ValueOf(record))), sink.Records);
            Assert.Equal(sections.Length, sink.Sections);
        },
        iter: 300);

    [Fact]
    public void A_stream_with_garbage_ends_in_a_clear_error_or_is_read_and_nothing_beside_its_pages_is_told()
    {
        var mutations = LabPrograms.IsFull ? 100_000 : 5_000;
        var whole = Stream([[(0, 0, false), (0, 1, true), (1, 3, false)], [(0, 7, false), (1, 0, true)], [(1, 7, false)]]);
        Gen.Select(Gen.Int[0, whole.Length - 1], Gen.Byte, Gen.Int[0, 3], Gen.Int[1, 64]).Sample(
            (at, value, kind, count) =>
            {
                var bytes = Garbage.In(whole, at, value, kind, count);
                var sink = new Recorder();
                try
                {
                    PrecopyStream.Read(new MemoryStream(bytes), sink);
                }
                catch (GuestException e)
                {
                    Assert.Contains(e.Fault, new[] { GuestFault.DeviceState, GuestFault.Unsupported });
                    Assert.NotEmpty(e.Message);
                }

                Assert.All(sink.Records, record =>
                {
                    Assert.InRange(record.Block, 0, sink.Blocks.Count - 1);
                    Assert.InRange(record.Page, 0, (sink.Blocks[record.Block].UsedLength / Page.Size) - 1);
                });
                Assert.InRange(sink.Records.Count, 0, bytes.Length);
            },
            iter: mutations);
    }

    private static int ValueOf((int Block, int Page, bool) record) => (record.Block * Pages) + record.Page + 1;

    private static byte[] Stream((int Block, int Page, bool IsZero)[][] sections)
    {
        List<byte> bytes = [];
        string[] names = ["pc.ram", "pc.bios"];
        U32(0x5145564d);
        U32(3);
        bytes.AddRange([7, 0, 0, 0, 1, (byte)'q', 1]);
        U32(2);
        Name("ram");
        U32(0);
        U32(4);
        U64((2 * Pages * Page.Size) | 4);
        foreach (var name in names)
        {
            Name(name);
            U64(Pages * Page.Size);
        }

        Footer(eos: true);
        var last = -1;
        for (var i = 0; i < sections.Length; i++)
        {
            bytes.Add((byte)(i == sections.Length - 1 ? 3 : 2));
            U32(2);
            foreach (var record in sections[i])
            {
                U64((ulong)record.Page * Page.Size | (record.IsZero ? 2u : 8u) | (record.Block == last ? 0x20u : 0));
                if (record.Block != last)
                    Name(names[record.Block]);
                last = record.Block;
                bytes.AddRange(record.IsZero ? [0] : Enumerable.Repeat((byte)ValueOf(record), Page.Size));
            }

            Footer(eos: true);
        }

        bytes.Add(4);
        U32(0);
        Name("timer");
        U32(0);
        U32(2);
        bytes.AddRange([1, 2, 3]);
        bytes.Add(0x7e);
        U32(0);
        bytes.Add(0);
        return [.. bytes];

        void Footer(bool eos)
        {
            if (eos)
                U64(0x10);
            bytes.Add(0x7e);
            U32(2);
        }

        void Name(string name)
        {
            bytes.Add((byte)name.Length);
            bytes.AddRange(Encoding.UTF8.GetBytes(name));
        }

        void U32(uint value)
        {
            var field = new byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(field, value);
            bytes.AddRange(field);
        }

        void U64(ulong value)
        {
            var field = new byte[8];
            BinaryPrimitives.WriteUInt64BigEndian(field, value);
            bytes.AddRange(field);
        }
    }

    private sealed class Recorder : IRamStreamSink
    {
        public IReadOnlyList<RamBlockSpec> Blocks { get; private set; } = [];

        public List<(int Block, long Page, int Value)> Records { get; } = [];

        // That of the START section is not counted.
        public int Sections { get; private set; } = -1;

        public void Begin(IReadOnlyList<RamBlockSpec> blocks) => Blocks = [.. blocks];

        void IRamStreamSink.Page(int block, long page, ReadOnlySpan<byte> content)
        {
            Assert.True(content.IsEmpty || content.Length == Page.Size);
            Records.Add((block, page, content.IsEmpty ? 0 : content[0]));
        }

        public void EndOfSection() => Sections++;
    }
}
