using System.Buffers.Binary;
using System.Net.Sockets;
using System.Text;
using DistMigrate.Guests;
using DistMigrate.MappedRam;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Bench;

/// <summary>The stream of a GiB of pages through a socket pair into the product's receiver, and into one that throws the bytes away, in turn.</summary>
internal static class ReceiverBench
{
    private const string BlockName = "pc.ram";
    private const int Pages = 1 << 18;

    public static async Task RunAsync(BenchOptions options)
    {
        var stream = Compose();
        var (thrown, read) = (new Samples(), new Samples());
        for (var round = 0; round < options.Rounds; round++)
        {
            thrown.Add(await TimeAsync(stream, Discard));
            read.Add(await TimeAsync(stream, Receive));
        }

        var gigabytes = stream.Length / 1e9;
        MarkdownTable.Write(
            $"A stream of {Pages} pages, {options.Rounds} rounds, medians",
            ["receiver", "GB/s", "ratio"],
            [["throws the bytes away", Rate(thrown), "1"], ["ours", Rate(read), (thrown.Median / read.Median).ToString("0.00", System.Globalization.CultureInfo.InvariantCulture)]]);

        string Rate(Samples samples) => (gigabytes / samples.Median).ToString("0.00", System.Globalization.CultureInfo.InvariantCulture);
    }

    private static void Discard(Stream stream)
    {
        var buffer = new byte[256 * 1024];
        while (stream.Read(buffer) > 0)
        {
        }
    }

    private static void Receive(Stream stream)
    {
        var layout = ImageLayout.Create("pc-q35-10.0", [new RamBlockSpec(BlockName, (long)Pages * Page.Size)]);
        using var engine = new BlockEngine(layout.Blocks[0], new SyntheticMemory((long)Pages * Page.Size, extentPages: 1, _ => false));
        engine.BeginFeed();
        PrecopyStream.Read(stream, new Announcer(engine));
    }

    private static async Task<TimeSpan> TimeAsync(byte[] bytes, Action<Stream> receive)
    {
        var (ours, theirs) = Libc.SocketPair();
        using var reader = OutgoingMigration.Open(ours);
        using var writer = OutgoingMigration.Open(theirs);
        var sending = Task.Factory.StartNew(
            () =>
            {
                for (var at = 0; at < bytes.Length; at += 1 << 20)
                    writer.Send(bytes.AsSpan(at, Math.Min(1 << 20, bytes.Length - at)));
                writer.Shutdown(SocketShutdown.Send);
            },
            CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        var began = TimeProvider.System.GetTimestamp();
        using (var stream = new NetworkStream(reader, ownsSocket: false))
            receive(stream);
        var took = TimeProvider.System.GetElapsedTime(began);
        await sending;
        return took;
    }

    /// <summary>What QEMU sends of a guest with one RAMBlock, every page of which is in use.</summary>
    private static byte[] Compose()
    {
        using var stream = new MemoryStream(Pages * (Page.Size + 8) + 4096);
        U32(StreamFormat.FileMagic);
        U32(StreamFormat.FileVersion);
        stream.WriteByte(StreamFormat.SectionStart);
        U32(2);
        Name(StreamFormat.RamSectionName);
        U32(StreamFormat.RamSectionInstance);
        U32(StreamFormat.RamSectionVersion);
        U64(((ulong)Pages * Page.Size) | StreamFormat.RamFlagMemSize);
        Name(BlockName);
        U64((ulong)Pages * Page.Size);
        End();
        stream.WriteByte(StreamFormat.SectionEnd);
        U32(2);
        var page = new byte[Page.Size];
        Random.Shared.NextBytes(page);
        for (var i = 0; i < Pages; i++)
        {
            U64(((ulong)i * Page.Size) | StreamFormat.RamFlagPage | (i > 0 ? StreamFormat.RamFlagContinue : 0));
            if (i == 0)
                Name(BlockName);
            stream.Write(page);
        }

        End();
        stream.WriteByte(StreamFormat.SectionFull);
        U32(0);
        stream.WriteByte(StreamFormat.SectionFooter);
        U32(0);
        stream.WriteByte(StreamFormat.Eof);
        return stream.ToArray();

        void End()
        {
            U64(StreamFormat.RamFlagEos);
            stream.WriteByte(StreamFormat.SectionFooter);
            U32(2);
        }

        void Name(string name)
        {
            stream.WriteByte((byte)name.Length);
            stream.Write(Encoding.UTF8.GetBytes(name));
        }

        void U32(uint value)
        {
            Span<byte> field = stackalloc byte[4];
            BinaryPrimitives.WriteUInt32BigEndian(field, value);
            stream.Write(field);
        }

        void U64(ulong value)
        {
            Span<byte> field = stackalloc byte[8];
            BinaryPrimitives.WriteUInt64BigEndian(field, value);
            stream.Write(field);
        }
    }

    private sealed class Announcer(BlockEngine engine) : IRamStreamSink
    {
        public void Begin(IReadOnlyList<RamBlockSpec> blocks)
        {
        }

        public void Page(int block, long page, ReadOnlySpan<byte> content) => engine.Announce(page, content);

        public void EndOfSection() => engine.EndAnnouncements();
    }
}
