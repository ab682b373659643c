using System.Buffers.Binary;
using DistMigrate.MappedRam;
using DistMigrate.MappedRam.Journal;
using static DistMigrate.Tests.Unit.MappedRam.JournalScript;

namespace DistMigrate.Tests.Unit.MappedRam;

public sealed class JournalReaderTests
{
    [Fact]
    public void What_was_written_is_read()
    {
        var script = Everything();
        var (state, end) = Replay(script.Bytes);
        Assert.Equal(script.Model.Print(), JournalModel.Print(state));
        Assert.Equal(script.Identity with { Blocks = [] }, state.Identity! with { Blocks = [] });
        Assert.Equal(script.Identity.Blocks, state.Identity.Blocks);
        Assert.Equal((3u, DateTimeOffset.UnixEpoch.AddMilliseconds(3), "stopped"), state.LastStep);
        Assert.Equal(
            (script.Bytes.Length, false, script.LastSeal, script.Encoder.Sequence, null, 5),
            (end.ValidLength, end.IsTorn, end.SealOffset, end.NextSequence, end.ImageLength, end.Token.Number));
        Assert.Equal(0, script.Bytes.Length % 8);
    }

    [Fact]
    public void A_journal_goes_on_where_it_ended()
    {
        var script = new JournalScript().Data(0, Run(4, 2), 7);
        var more = new JournalEncoder(Replay(script.Bytes).End);
        var (_, end) = Replay([.. script.Bytes, .. more.Seal(), .. more.TakeOver(new JournalToken(2, Guid.NewGuid()))]);
        Assert.Equal((6ul, false, 2), (end.NextSequence, end.IsTorn, end.Token.Number));
    }

    [Fact]
    public void Every_flip_of_a_bit_before_the_last_seal_is_found_and_one_behind_it_loses_only_what_was_never_durable()
    {
        var script = Everything();
        var bytes = script.Bytes;
        for (var at = 0; at < bytes.Length; at++)
        {
            for (var bit = 0; bit < 8; bit++)
            {
                bytes[at] ^= (byte)(1 << bit);
                if (at < script.LastSeal)
                {
                    Assert.Throws<JournalException>(() => Replay(bytes));
                }
                else
                {
                    var (valid, expected) = script.Prefixes.Last(prefix => prefix.End <= at);
                    var (state, end) = Replay(bytes);
                    Assert.Equal((expected, valid, true), (JournalModel.Print(state), end.ValidLength, end.IsTorn));
                }

                bytes[at] ^= (byte)(1 << bit);
            }
        }
    }

    [Fact]
    public void A_journal_cut_anywhere_says_what_its_intact_records_say()
    {
        var script = Everything();
        for (var length = 0; length <= script.Bytes.Length; length++)
        {
            var (valid, expected) = script.Prefixes.Last(prefix => prefix.End <= length);
            var (state, end) = Replay(script.Bytes[..length]);
            Assert.Equal((valid, valid < length, valid == 0), (end.ValidLength, end.IsTorn, end.IsEmpty));
            if (valid > 0)
            {
                Assert.Equal(expected, JournalModel.Print(state));
            }
        }
    }

    [Fact]
    public void A_tail_of_which_only_the_later_part_reached_the_disk_is_torn_and_not_damaged()
    {
        var script = new JournalScript().Seal();
        var durable = script.Bytes.Length;
        script.Data(0, Run(0, 9), 1);
        var lost = script.Bytes.Length;
        var bytes = script.Data(0, Run(9, 9), 1).Invalid(0, Run(3, 3)).Bytes;
        bytes.AsSpan(durable..lost).Clear();
        Assert.Equal((durable, true), (Replay(bytes).End.ValidLength, Replay(bytes).End.IsTorn));
    }

    [Fact]
    public void A_file_of_zeros_is_empty_and_any_other_without_a_header_is_no_journal()
    {
        Assert.True(Replay(new byte[100_000]).End is { IsEmpty: true, IsTorn: true });
        Assert.True(Replay([]).End is { IsEmpty: true, IsTorn: false });
        var bytes = new byte[100_000];
        bytes[99_999] = 1;
        AssertRefused(JournalRule.Header, bytes);
    }

    [Fact]
    public void A_journal_of_a_later_version_is_refused_as_such()
    {
        var bytes = new JournalScript().Bytes;
        bytes[8] = 2;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(32), JournalFormat.Hash(bytes.AsSpan(0, 32), 0));
        AssertRefused(JournalRule.Version, bytes);
    }

    [Fact]
    public void A_writer_with_an_older_token_is_found()
    {
        var script = new JournalScript(token: new JournalToken(7, Guid.NewGuid()));
        AssertRefused(JournalRule.Token, script.Forge(5, [], token: 6).Bytes);
        AssertRefused(JournalRule.Token, new JournalScript().Forge(5, [], token: 2).Bytes);
        byte[] another = [1, 0, 0, 0, 0, 0, 0, 0, .. Guid.NewGuid().ToByteArray()];
        AssertRefused(JournalRule.Token, new JournalScript().Forge(2, another).Bytes);
    }

    [Theory]
    [InlineData(2, 0, 1)]
    [InlineData(0, 70, 1)]
    [InlineData(0, 69, 2)]
    [InlineData(1, 0, 0)]
    [InlineData(0, long.MaxValue, 2)]
    [InlineData(0, 2, -1)]
    [InlineData(-1, 0, 1)]
    public void Pages_that_no_block_has_are_refused(int block, long first, long count)
    {
        byte[] run = [.. BitConverter.GetBytes(first), .. BitConverter.GetBytes(count)];
        AssertRefused(JournalRule.Pages, new JournalScript().Forge(4, [.. BitConverter.GetBytes(block), 1, 0, 0, 0, .. run]).Bytes);
        AssertRefused(
            JournalRule.Pages, new JournalScript().Forge(3, [.. BitConverter.GetBytes(block), 1, 0, 0, 0, .. run, 1, 0, 0, 0, 0, 0, 0, 0]).Bytes);
    }

    [Fact]
    public void Payloads_of_another_form_are_refused()
    {
        byte[] pages = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        Refuse(JournalRule.Payload, 3, pages);
        Refuse(JournalRule.Payload, 3, [.. pages, 2, 0, 0, 0, 0, 0, 0, 0]);
        Refuse(JournalRule.Payload, 3, [.. pages, 1, 0, 0, 0, 0, 0, 0, 1]);
        Refuse(JournalRule.Payload, 3, [.. pages, 0, 0, 0, 0, 0, 0, 0, 0, .. new byte[15]]);
        Refuse(JournalRule.Payload, 3, [.. pages, 1, 0, 0, 0, 0, 0, 0, 0, .. new byte[16]]);
        Refuse(JournalRule.Payload, 4, [0, 0, 0, 0, 0, 0, 0, 0]);
        Refuse(JournalRule.Payload, 4, [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, .. new byte[16]]);
        Refuse(JournalRule.Payload, 2, new byte[23]);
        Refuse(JournalRule.Payload, 5, [0]);
        Refuse(JournalRule.Payload, 6, new byte[11]);
        Refuse(JournalRule.Payload, 6, new byte[12 + 4097]);
        Refuse(JournalRule.Payload, 6, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff]);
        Refuse(JournalRule.Payload, 6, [0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        Refuse(JournalRule.Payload, 7, new byte[8]);
        Refuse(JournalRule.Payload, 8, []);
        Refuse(JournalRule.Order, 1, []);

        static void Refuse(JournalRule rule, int type, byte[] payload) => AssertRefused(rule, new JournalScript().Forge(type, payload).Bytes);
    }

    [Fact]
    public void Only_seals_follow_the_completion()
    {
        var script = new JournalScript().Complete(12345).Seal();
        Assert.Equal(12345, Replay(script.Bytes).End.ImageLength);
        Assert.Throws<ArgumentException>(() => new JournalEncoder(Replay(script.Bytes).End));
        AssertRefused(JournalRule.Order, script.Step(1, "").Bytes);
    }

    [Theory]
    [InlineData("[]")]
    [InlineData("null")]
    [InlineData("""{"migration":"m"}""")]
    [InlineData("\"\\ud800\"")]
    public void An_identity_that_is_none_is_refused(string json) => RefuseIdentity(System.Text.Encoding.UTF8.GetBytes(json));

    [Fact]
    public void An_identity_with_values_that_cannot_be_is_refused_and_not_written()
    {
        var good = NewIdentity();
        foreach (var bad in new[]
        {
            good with { Blocks = [] }, good with { Blocks = [new("a", 0)] }, good with { Blocks = [new("a", 1), new("a", 2)] },
            good with { Blocks = [new("a", long.MaxValue), new("b", long.MaxValue)] }, good with { Blocks = [null!] }, good with { LayoutDigest = "12" },
        })
        {
            Assert.Throws<ArgumentException>(() => new JournalEncoder(bad, new JournalToken(1, default)).Beginning());
            RefuseIdentity(System.Text.Json.JsonSerializer.SerializeToUtf8Bytes(bad, JournalJson.Default.JournalIdentity));
        }

        Assert.Throws<ArgumentException>(() => new JournalEncoder(good with { Request = new string('x', 1 << 20) }, new JournalToken(1, default)).Beginning());
    }

    [Fact]
    public void Members_that_this_version_does_not_know_are_ignored()
    {
        var json = System.Text.Json.JsonSerializer.Serialize(NewIdentity(), JournalJson.Default.JournalIdentity);
        json = json[..^1] + ",\"later\":{\"a\":[1]}}";
        Assert.Equal("m-1", JournalIdentity.Parse(System.Text.Encoding.UTF8.GetBytes(json)).Migration);
    }

    [Fact]
    public void Many_sync_words_and_long_lengths_cost_linear_time()
    {
        var script = new JournalScript();
        byte[] prefix = [.. BitConverter.GetBytes(JournalFormat.SyncWord), 5, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0];
        var noise = new byte[8 << 20];
        for (var at = 0; at < noise.Length; at += prefix.Length)
        {
            prefix.CopyTo(noise, at);
        }

        var input = new RopeImageInput(script.Bytes, noise);
        var end = JournalReader.Replay(input, new JournalState());
        Assert.Equal((script.Bytes.Length, true), (end.ValidLength, end.IsTorn));
        Assert.True(input.BytesRead < 3 * input.Length, $"{input.BytesRead} bytes of {input.Length} were read");
    }

    [Fact]
    public void The_records_at_the_limits_can_be_written_and_read()
    {
        var pages = JournalFormat.MaxPagesPerRecord;
        var script = new JournalScript(NewIdentity(new JournalBlock("ram", 140_000)));
        script.Data(0, Run(1, pages), 1).Zero(0, Run(pages + 1, pages)).Step(1, new string('ü', 5000));
        script.Invalid(0, [.. Enumerable.Range(0, JournalFormat.MaxRunsPerRecord).Select(i => Run(2L * i, 1))]).Seal();
        var (state, end) = Replay(script.Bytes);
        Assert.Equal((script.Bytes.Length, false), (end.ValidLength, end.IsTorn));
        Assert.Equal(script.Model.Print(), JournalModel.Print(state));
        Assert.Equal(2048, state.LastStep!.Value.Text.Length);
        Assert.Throws<ArgumentException>(() => script.Data(0, Run(0, pages + 1), 1));
    }

    [Fact]
    public void The_digest_of_a_layout_is_that_of_the_image_written_with_it()
    {
        var image = TestImage.Compose();
        var digest = LayoutDigest.Compute(image.Layout);
        Assert.Equal(32, digest.Length);
        Assert.Equal(digest, LayoutDigest.Compute(image.Read()));
        Assert.NotEqual(digest, LayoutDigest.Compute(ImageLayout.Create(TestImage.Machine + "0", [TestImage.Ram, TestImage.Bios, TestImage.Rsdp])));
    }

    internal static (JournalState State, JournalEnd End) Replay(byte[] bytes)
    {
        var state = new JournalState();
        var end = JournalReader.Replay(new MemoryImageInput(bytes), state);
        return (state, end);
    }

    private static void RefuseIdentity(byte[] json)
    {
        var bytes = new JournalScript().Bytes[..JournalFormat.HeaderLength];
        var salt = bytes.AsSpan(16, 16);
        var record = new byte[JournalEncoder.RecordLength(json.Length)];
        BinaryPrimitives.WriteUInt32LittleEndian(record, JournalFormat.SyncWord);
        record[4] = 1;
        BinaryPrimitives.WriteInt32LittleEndian(record.AsSpan(8), json.Length);
        record[16] = 1;
        record[24] = 1;
        json.CopyTo(record, JournalFormat.PrefixLength);
        var hash = JournalFormat.Hash(record.AsSpan(0, record.Length - 8), JournalFormat.SeedOf(salt));
        BinaryPrimitives.WriteUInt64LittleEndian(record.AsSpan(record.Length - 8), hash);
        AssertRefused(JournalRule.Identity, [.. bytes, .. record]);
    }

    private static void AssertRefused(JournalRule rule, byte[] bytes) =>
        Assert.Equal(rule, Assert.Throws<JournalException>(() => Replay(bytes)).Rule);
}
