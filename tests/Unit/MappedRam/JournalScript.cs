using System.Buffers.Binary;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;

namespace DistMigrate.Tests.Unit.MappedRam;

/// <summary>Composes a journal record by record, and keeps what it says after each.</summary>
internal sealed class JournalScript
{
    private readonly List<byte> _bytes = [];

    public JournalScript(JournalIdentity? identity = null, JournalToken? token = null)
    {
        Identity = identity ?? NewIdentity();
        Encoder = new JournalEncoder(Identity, token ?? new JournalToken(1, Guid.NewGuid()));
        Model = new JournalModel(Identity.Blocks);
        Add(Encoder.Beginning(), () => Model.Token = Encoder.Token);
    }

    public JournalIdentity Identity { get; }

    public JournalEncoder Encoder { get; }

    public JournalModel Model { get; }

    public byte[] Bytes => [.. _bytes];

    /// <summary>Where each record ends, and what the journal says up to there; the first entry is that of an empty journal.</summary>
    public List<(int End, string State)> Prefixes { get; } = [(0, Empty)];

    /// <summary>Where the last seal starts.</summary>
    public int LastSeal { get; private set; }

    public static string Empty => JournalModel.Print(new JournalState());

    public static JournalIdentity NewIdentity(params JournalBlock[] blocks) => new(
        "m-1", "host-a", "guest \"ü\"", "/run/qmp", 4711, 123456789, Guid.NewGuid(), "/srv/images/guest.img", 64769, 4242,
        "00112233445566778899aabbccddeeff", blocks is [] ? [new("pc.ram", 70), new("vga", 5)] : blocks, """{"any":"thing"}""");

    public static PageRun Run(long first, long count) => new(first, count);

    public static UInt128 HashOf(long page, int value) => new(0xfeed_0000 + (ulong)value, (ulong)page);

    public JournalScript Data(int block, PageRun run, int value, uint epoch = 1) =>
        Durable(block, run, [.. Enumerable.Range(0, (int)run.Count).Select(i => HashOf(run.First + i, value))], epoch);

    public JournalScript Durable(int block, PageRun run, UInt128[] entries, uint epoch = 1)
    {
        var bytes = new byte[JournalEncoder.RecordLength(JournalEncoder.DurableLength(entries.Length))];
        Assert.Equal(bytes.Length, Encoder.WriteDurable(bytes, block, epoch, run, entries));
        return Add(bytes, () => Model.Set(block, run, page => entries is [] ? JournalEntry.Zero : entries[page - run.First]));
    }

    public JournalScript Zero(int block, PageRun run) => Durable(block, run, []);

    public JournalScript Invalid(int block, params PageRun[] runs)
    {
        var bytes = new byte[JournalEncoder.RecordLength(JournalEncoder.InvalidLength(runs.Length))];
        Assert.Equal(bytes.Length, Encoder.WriteInvalid(bytes, block, runs));
        return Add(bytes, () =>
        {
            foreach (var run in runs)
            {
                Model.Invalidate(block, run);
            }
        });
    }

    public JournalScript Seal()
    {
        LastSeal = _bytes.Count;
        return Add(Encoder.Seal(), () => { });
    }

    public JournalScript Step(uint step, string text) => Add(Encoder.Step(step, DateTimeOffset.UnixEpoch.AddMilliseconds(step), text), () => { });

    public JournalScript TakeOver(JournalToken token) => Add(Encoder.TakeOver(token), () => Model.Token = token);

    public JournalScript Complete(long imageLength) => Add(Encoder.Complete(imageLength), () => { });

    /// <summary>A record that the encoder would not write, with a right checksum.</summary>
    public JournalScript Forge(int type, byte[] payload, long? token = null, ulong? sequence = null)
    {
        var record = new byte[JournalEncoder.RecordLength(payload.Length)];
        BinaryPrimitives.WriteUInt32LittleEndian(record, JournalFormat.SyncWord);
        BinaryPrimitives.WriteUInt16LittleEndian(record.AsSpan(4), (ushort)type);
        BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(8), payload.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(record.AsSpan(16), sequence ?? Encoder.Sequence);
        BinaryPrimitives.WriteInt64LittleEndian(record.AsSpan(24), token ?? Encoder.Token.Number);
        payload.CopyTo(record, JournalFormat.PrefixLength);
        BinaryPrimitives.WriteUInt64LittleEndian(record.AsSpan(record.Length - 8), JournalFormat.Hash(record.AsSpan(0, record.Length - 8), Encoder.Seed));
        _bytes.AddRange(record);
        return this;
    }

    /// <summary>A journal with records of every type, seals in it and behind it, and a tail that no seal covers.</summary>
    public static JournalScript Everything() => new JournalScript()
        .Seal()
        .Data(0, Run(0, 3), 1).Zero(0, Run(3, 60)).Durable(1, Run(0, 5), [HashOf(0, 1), JournalEntry.None, JournalEntry.Zero, JournalEntry.Zero, HashOf(4, 1)])
        .Seal()
        .Invalid(0, Run(1, 1), Run(60, 2))
        .TakeOver(new JournalToken(5, Guid.NewGuid()))
        .Seal()
        .Data(0, Run(60, 2), 2, epoch: 2).Step(3, "stopped").Zero(0, Run(1, 1))
        .Seal()
        .Invalid(1, Run(0, 5)).Data(0, Run(69, 1), 3);

    private JournalScript Add(byte[] bytes, Action change)
    {
        _bytes.AddRange(bytes);
        change();
        Prefixes.Add((_bytes.Count, Model.Print()));
        return this;
    }
}
