using System.Buffers.Binary;
using System.Text;
using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// Reads one channel of a multifd stream: a greeting, then packets of a header with the offsets of up to 128 pages of one RAMBlock, those that are
/// not zero first, and then the content of these (QEMU 10.0 migration/multifd.c and multifd-nocomp.c; all numbers big-endian).
/// </summary>
/// <param name="stream">The channel.</param>
/// <param name="sink">Takes the pages.</param>
/// <param name="sync">Where it waits for the other channels.</param>
internal sealed class MultifdPackets(Stream stream, MultifdSink sink, MultifdSync sync)
{
    /// <summary>What the greeting and each packet begin with.</summary>
    public const uint Magic = 0x11223344;

    private const uint Version = 1;
    private const uint SyncFlag = 1;
    private const int GreetingLength = 64;
    private const int PagesPerPacket = 128;

    // magic, version, flags, pages_alloc, normal_pages, next_packet_size, u64 packet_num, zero_pages, unused.
    private const int FlagsAt = 8;
    private const int NormalAt = 16;
    private const int SizeAt = 20;
    private const int ZeroAt = 32;
    private const int NameAt = 64;
    private const int NameLength = 256;
    private const int OffsetsAt = NameAt + NameLength;
    private const int HeaderLength = OffsetsAt + (PagesPerPacket * sizeof(ulong));

    private readonly byte[] _header = new byte[HeaderLength];
    private readonly byte[] _pages = new byte[PagesPerPacket * Page.Size];
    private long _position;

    /// <summary>Reads to the end of the channel; the calling thread waits for its bytes.</summary>
    /// <exception cref="GuestException">DeviceState: the channel is cut short or not of that grammar.</exception>
    public void Read()
    {
        Fill(_header.AsSpan(0, GreetingLength), mayEnd: false);
        if (Number(0) != Magic || Number(4) != Version)
            throw Malformed("it does not begin as a multifd channel of version 1");
        while (Fill(_header, mayEnd: true))
        {
            if (Number(0) != Magic || Number(4) != Version)
                throw Malformed("a packet does not begin as one of version 1");
            ReadPages(Number(FlagsAt));
        }
    }

    private void ReadPages(uint flags)
    {
        if ((flags & ~SyncFlag) != 0)
            throw Malformed($"flags 0x{flags:x} were not asked for");
        var (normal, zero) = (Number(NormalAt), Number(ZeroAt));
        if (normal > PagesPerPacket || zero > PagesPerPacket - normal || Number(SizeAt) != normal * Page.Size)
            throw Malformed($"a packet of {normal} pages and {zero} zero pages with {Number(SizeAt)} bytes");
        if (normal + zero > 0)
        {
            var name = _header.AsSpan(NameAt, NameLength);
            var block = sink.Find(Encoding.UTF8.GetString(name[..Math.Max(0, name.IndexOf((byte)0))]))
                ?? throw Malformed("pages of a RAMBlock that is not in the stream's list");
            var content = _pages.AsSpan(0, (int)normal * Page.Size);
            Fill(content, mayEnd: false);
            for (var i = 0; i < normal + zero; i++)
            {
                var offset = BinaryPrimitives.ReadUInt64BigEndian(_header.AsSpan(OffsetsAt + (i * sizeof(ulong))));
                if (offset % Page.Size != 0 || !sink.TryTake(block, offset, i < normal ? content.Slice(i * Page.Size, Page.Size) : default))
                    throw Malformed($"a page at 0x{offset:x} lies outside its RAMBlock");
            }
        }

        if ((flags & SyncFlag) != 0)
            sync.Meet();
    }

    private uint Number(int at) => BinaryPrimitives.ReadUInt32BigEndian(_header.AsSpan(at));

    /// <summary>Reads exactly so much.</summary>
    /// <returns>False at the end of the channel, where that may be.</returns>
    private bool Fill(Span<byte> bytes, bool mayEnd)
    {
        var count = stream.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
        _position += count;
        if (count == bytes.Length)
            return true;
        return mayEnd && count == 0 ? false : throw Malformed("it ends in the middle of a packet");
    }

    private GuestException Malformed(string why) =>
        new(GuestFault.DeviceState, $"A multifd channel of QEMU's migration stream cannot be read at byte {_position}: {why}.");
}
