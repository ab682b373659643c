using System.Buffers.Binary;
using System.IO.Hashing;

namespace DistMigrate.MappedRam.Journal;

/// <summary>
/// The constants of IMAGE.journal and IMAGE.checksums. All integers are little-endian.
/// </summary>
/// <remarks>
/// <code>
/// header, 40 bytes:   magic[8]  u16 version  u16 0  u32 0  salt[16]  u64 XxHash3 of these 32 bytes, seed 0
/// record, from 40 on: u32 sync  u16 type  u16 0  u32 payload length  u32 0  u64 sequence  u64 token
///                     payload, zeros up to a multiple of 8
///                     u64 XxHash3 of all from the sync word on, seed = the salt's two halves combined by xor
/// </code>
/// </remarks>
internal static class JournalFormat
{
    public const ushort Version = 1;

    public const int SaltLength = 16;

    /// <summary>Magic, version, reserved fields and salt: what the header's hash covers.</summary>
    public const int HeaderBodyLength = 32;

    public const int HeaderLength = HeaderBodyLength + sizeof(ulong);

    public const uint SyncWord = 0x9e4a_d3b5;

    public const int PrefixLength = 32;

    public const int MaxPayloadLength = 1 << 20;

    /// <summary>The most pages that one record of durable pages speaks of.</summary>
    public const int MaxPagesPerRecord = 65_000;

    public const int MaxRunsPerRecord = 65_000;

    /// <summary>The fields of a record of durable pages before the entries.</summary>
    public const int DurableFieldsLength = 32;

    public const int InvalidFieldsLength = 8;

    public const int RunLength = 16;

    public const int TokenLength = 24;

    public const int StepFieldsLength = 12;

    public const int MaxStepTextLength = 4096;

    public const byte KindData = 0;

    public const byte KindZero = 1;

    /// <summary>32 TiB of guest memory: what a forged identity can make a reader reserve is bounded.</summary>
    public const long MaxTotalPages = 1L << 33;

    public static ReadOnlySpan<byte> Magic => "DMJRNL\r\n"u8;

    /// <summary>The whole length of a record whose payload has <paramref name="payloadLength"/> bytes.</summary>
    public static int RecordLength(int payloadLength) => PrefixLength + ((payloadLength + 7) & ~7) + sizeof(ulong);

    public static ulong Hash(ReadOnlySpan<byte> bytes, ulong seed) => XxHash3.HashToUInt64(bytes, unchecked((long)seed));

    public static ulong SeedOf(ReadOnlySpan<byte> salt) =>
        BinaryPrimitives.ReadUInt64LittleEndian(salt) ^ BinaryPrimitives.ReadUInt64LittleEndian(salt[sizeof(ulong)..]);
}
