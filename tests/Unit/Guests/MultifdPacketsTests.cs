using System.Buffers.Binary;
using System.Text;
using CsCheck;
using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.Unit.Guests;

/// <summary>One channel of a multifd stream.</summary>
public sealed class MultifdPacketsTests
{
    private const int HeaderLength = 320 + (128 * 8);
    private static readonly RamBlockSpec[] Blocks = [new("pc.ram", 512 * Page.Size), new("pc.bios", 8 * Page.Size)];

    private static readonly Gen<(int Block, int[] Normal, int[] Zero)[]> GenPackets =
        (from block in Gen.Int[0, 1]
         from normal in Gen.Int[0, 7].Array[0, 64]
         from zero in Gen.Int[0, 7].Array[0, 64]
         select (block, normal, zero)).Array[0, 8];

    [Fact]
    public void Every_page_reaches_the_sink_in_order_with_its_content() => GenPackets.Sample(
        packets =>
        {
            var pages = Read(Channel(packets));
            Assert.Equal(
                packets.SelectMany(packet => packet.Normal.Select(page => (packet.Block, (long)page, ValueOf(page)))
                    .Concat(packet.Zero.Select(page => (packet.Block, (long)page, 0)))),
                pages);
        },
        iter: 300);

    [Fact]
    public void A_channel_that_is_cut_within_a_packet_is_refused_and_one_that_ends_behind_it_is_not()
    {
        var whole = Channel([(0, [1], [2]), (1, [3], [])]);
        int[] ends = [64, 64 + HeaderLength + Page.Size, whole.Length];
        for (var length = 0; length < whole.Length; length += length < 200 ? 1 : 97)
        {
            if (ends.Contains(length))
                continue;
            var cut = whole[..length];
            Assert.Equal(GuestFault.DeviceState, Assert.Throws<GuestException>(() => Read(cut)).Fault);
        }

        foreach (var length in ends)
            Read(whole[..length]);
    }

    [Fact]
    public void A_channel_with_garbage_ends_in_a_clear_error_or_is_read_and_no_page_beside_its_RAMBlocks_is_told()
    {
        var mutations = LabPrograms.IsFull ? 100_000 : 5_000;
        var whole = Channel([(0, [1, 2], [7]), (1, [0], [6]), (0, [5], [])]);

        // Half of them in greeting and first header.
        Gen.Select(Gen.OneOf(Gen.Int[0, 64 + 400], Gen.Int[0, whole.Length - 1]), Gen.Byte, Gen.Int[0, 3], Gen.Int[1, 64]).Sample(
            (at, value, kind, count) =>
            {
                List<(int Block, long Page, int Value)> pages = [];
                try
                {
                    pages = Read(Garbage.In(whole, at, value, kind, count));
                }
                catch (GuestException e)
                {
                    Assert.Equal(GuestFault.DeviceState, e.Fault);
                    Assert.NotEmpty(e.Message);
                }

                Assert.All(pages, page => Assert.InRange(page.Page, 0, (Blocks[page.Block].UsedLength / Page.Size) - 1));
            },
            iter: mutations);
    }

    [Fact]
    public void Pages_before_the_list_of_RAMBlocks_are_refused()
    {
        using var sync = new MultifdSync(1);
        var packets = new MultifdPackets(new MemoryStream(Channel([(0, [1], [])])), new MultifdSink(new PageRecorder()), sync);
        Assert.Equal(GuestFault.DeviceState, Assert.Throws<GuestException>(packets.Read).Fault);
    }

    [Fact]
    public async Task A_channel_stops_at_a_sync_packet_until_the_main_channel_is_there()
    {
        using var sync = new MultifdSync(1);
        var sink = new PageRecorder();
        var shared = new MultifdSink(sink);
        shared.Begin(Blocks);
        byte[] channel = [.. Channel([(0, [1], [])]), .. Packet(0, [], [], flags: 1), .. Packet(0, [2], [], flags: 0)];
        var reading = Task.Factory.StartNew(
            () => new MultifdPackets(new MemoryStream(channel), shared, sync).Read(), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Assert.True(SpinWait.SpinUntil(() => sink.Pages.Count == 1, TimeSpan.FromSeconds(30)));
        Assert.False(reading.IsCompleted);
        Assert.Single(sink.Pages);
        sync.Meet();
        await reading.WaitAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(2, sink.Pages.Count);
    }

    [Fact]
    public async Task Who_waits_for_a_channel_that_has_ended_is_told()
    {
        using var sync = new MultifdSync(2);
        var waiting = Task.Factory.StartNew(sync.Meet, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        sync.End();
        Assert.Equal(GuestFault.DeviceState, (await Assert.ThrowsAsync<GuestException>(() => waiting)).Fault);
    }

    private static int ValueOf(int page) => page + 1;

    private static List<(int Block, long Page, int Value)> Read(byte[] channel)
    {
        using var sync = new MultifdSync(0);
        var sink = new PageRecorder();
        var shared = new MultifdSink(sink);
        shared.Begin(Blocks);
        new MultifdPackets(new MemoryStream(channel), shared, sync).Read();
        return sink.Pages;
    }

    private static byte[] Channel((int Block, int[] Normal, int[] Zero)[] packets)
    {
        var greeting = new byte[64];
        BinaryPrimitives.WriteUInt32BigEndian(greeting, MultifdPackets.Magic);
        greeting[7] = 1;
        return [.. greeting, .. packets.SelectMany(packet => Packet(packet.Block, packet.Normal, packet.Zero, flags: 0))];
    }

    private static byte[] Packet(int block, int[] normal, int[] zero, uint flags)
    {
        var header = new byte[HeaderLength];
        U32(0, MultifdPackets.Magic);
        U32(4, 1);
        U32(8, flags);
        U32(12, 128);
        U32(16, (uint)normal.Length);
        U32(20, (uint)(normal.Length * Page.Size));
        U32(32, (uint)zero.Length);
        Encoding.UTF8.GetBytes(Blocks[block].Name, header.AsSpan(64));
        for (var i = 0; i < normal.Length + zero.Length; i++)
            BinaryPrimitives.WriteUInt64BigEndian(header.AsSpan(320 + (i * 8)), (ulong)(i < normal.Length ? normal[i] : zero[i - normal.Length]) * Page.Size);
        return [.. header, .. normal.SelectMany(page => Enumerable.Repeat((byte)ValueOf(page), Page.Size))];

        void U32(int at, uint value) => BinaryPrimitives.WriteUInt32BigEndian(header.AsSpan(at), value);
    }

    private sealed class PageRecorder : IRamStreamSink
    {
        public List<(int Block, long Page, int Value)> Pages { get; } = [];

        public void Begin(IReadOnlyList<RamBlockSpec> blocks)
        {
        }

        public void Page(int block, long page, ReadOnlySpan<byte> content) => Pages.Add((block, page, content.IsEmpty ? 0 : content[0]));

        public void EndOfSection()
        {
        }
    }
}
