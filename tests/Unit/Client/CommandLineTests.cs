using System.Text.Json;
using DistMigrate.Client;
using DistMigrate.Client.Demo;
using DistMigrate.Client.Output;
using DistMigrate.Contracts;
using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.Client;

public sealed class CommandLineTests : IDisposable
{
    private readonly TestSurroundings _test = new();

    public void Dispose() => _test.Dispose();

    [Theory]
    [InlineData("")]
    [InlineData("frob")]
    [InlineData("save")]
    [InlineData("save a b --frob")]
    [InlineData("save a/b image")]
    [InlineData("save a image --writers 65")]
    [InlineData("save a image --writers many")]
    [InlineData("save a image --bwlimit fast")]
    [InlineData("save a image --bwlimit 0")]
    [InlineData("save a image --then explode")]
    [InlineData("save a image --direct-io maybe")]
    [InlineData("save a image --wait --detach")]
    [InlineData("save a image --detach --timeout 5s")]
    [InlineData("save a image --timeout soon")]
    [InlineData("save a image --timeout 0")]
    [InlineData("save a image --max-downtime soon")]
    [InlineData("resume")]
    [InlineData("resume m-1 --all")]
    [InlineData("resume m-1 --wait --detach")]
    [InlineData("resume --all --detach --timeout 5s")]
    [InlineData("pause")]
    [InlineData("pause m-1 --wait --detach")]
    [InlineData("blocks --failed")]
    [InlineData("gc --older-than yesterday")]
    [InlineData("gc everything")]
    [InlineData("move vm1")]
    [InlineData("adopt m-1")]
    [InlineData("restore image --qmp q --channels 65")]
    [InlineData("restore image --qmp q --channels 0 --direct-io")]
    [InlineData("restore image --qmp q --guest a,b")]
    [InlineData("list --output yaml")]
    [InlineData("list --since yesterday")]
    [InlineData("list --since 2h --all")]
    [InlineData("queue hv1")]
    [InlineData("demo --memory 1T")]
    [InlineData("doctor --peer hv2")]
    [InlineData("doctor --hold")]
    [InlineData("doctor /images /other --hold")]
    [InlineData("doctor /images --hold --peer hv2")]
    [InlineData("doctor /images --hold --qmp q")]
    [InlineData("completion tcsh")]
    [InlineData("list --gateways nowhere --cluster-id c")]
    [InlineData("list --gateways 127.0.0.1:1")]
    public async Task What_makes_no_sense_is_a_usage_error_without_output(string line)
    {
        Assert.Equal(ExitCode.Usage, await _test.RunAsync(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)));
        Assert.StartsWith("error: ", _test.Error, StringComparison.Ordinal);
        Assert.Empty(_test.Out);
    }

    [Theory]
    [InlineData("save")]
    [InlineData("restore")]
    [InlineData("status")]
    [InlineData("list")]
    [InlineData("queue")]
    [InlineData("watch")]
    [InlineData("blocks")]
    [InlineData("cancel")]
    [InlineData("pause")]
    [InlineData("resume")]
    [InlineData("gc")]
    [InlineData("inspect")]
    [InlineData("verify")]
    [InlineData("demo")]
    [InlineData("version")]
    [InlineData("completion")]
    public async Task Every_command_explains_itself(string command)
    {
        Assert.Equal(ExitCode.Ok, await _test.RunAsync(command, "--help"));
        Assert.Contains($"distmigrate {command}", Output().Replace("testhost", "distmigrate", StringComparison.Ordinal), StringComparison.Ordinal);
        Assert.Empty(_test.Error);
    }

    [Fact]
    public async Task The_parser_says_what_may_follow()
    {
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("[suggest:24]", "distmigrate save --then "));
        Assert.Equal(["pause", "quit", "run"], Output().Split('\n', StringSplitOptions.RemoveEmptyEntries));
    }

    [Theory]
    [InlineData("bash")]
    [InlineData("zsh")]
    [InlineData("fish")]
    public async Task A_completion_script_asks_the_command(string shell)
    {
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("completion", shell));
        Assert.Contains("[suggest:", Output(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_version_is_told_as_JSON_too()
    {
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("version", "--output", "json"));
        Assert.Equal(1, Json().GetProperty("schema").GetInt32());
    }

    [Fact]
    public async Task A_configured_cluster_that_does_not_answer_is_told_as_such()
    {
        Assert.Equal(ExitCode.Unreachable, await _test.RunAsync("list", "--gateways", "127.0.0.1:1", "--cluster-id", "c"));
        Assert.Contains("no silo of the configured cluster answers at 127.0.0.1:1", _test.Error, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Without_a_silo_program_the_command_says_where_it_looked()
    {
        Assert.Equal(ExitCode.Unreachable, await _test.RunAsync("status"));
        Assert.Contains(Path.Combine(_test.Folder, "distmigrate-silo"), _test.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("inspect")]
    [InlineData("verify")]
    public async Task An_image_that_is_not_there_is_not_found(string command)
    {
        Assert.Equal(ExitCode.NotFound, await _test.RunAsync(command, "nothing.img"));
        Assert.Equal(ExitCode.NotFound, await _test.RunAsync(command, _test.Folder));
        Assert.Contains(Path.Combine(_test.Folder, "nothing.img"), _test.Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("inspect")]
    [InlineData("verify")]
    public async Task A_file_that_is_no_image_is_malformed(string command)
    {
        _test.Write("text.img", "hello, I am not an image");
        Assert.Equal(ExitCode.Malformed, await _test.RunAsync(command, "text.img"));
        Assert.Contains("0x0", _test.Error + _test.Out, StringComparison.Ordinal);
        Assert.Contains("magic", _test.Error + _test.Out, StringComparison.OrdinalIgnoreCase);
    }

    [Fact]
    public async Task A_sound_image_is_inspected()
    {
        await WriteImageAsync();
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("inspect", "good.img", "-o", "json"));
        var image = Json();
        Assert.Equal(1, image.GetProperty("schema").GetInt32());
        Assert.Equal("pc-q35-10.0", image.GetProperty("machine").GetString());
        var block = image.GetProperty("blocks")[0];
        Assert.Equal("pc.ram", block.GetProperty("ramblock").GetString());
        Assert.Equal(64, block.GetProperty("pages").GetInt64());
        Assert.Equal(2, block.GetProperty("pages-present").GetInt64());
        Assert.Equal(1 << 20, block.GetProperty("pages-offset").GetInt64());
        Assert.Equal("start", image.GetProperty("sections")[0].GetProperty("kind").GetString());
        Assert.True(image.GetProperty("allocated-bytes").GetInt64() <= image.GetProperty("length").GetInt64());
    }

    [Fact]
    public async Task A_sound_image_is_inspected_as_tables()
    {
        await WriteImageAsync();
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("inspect", "good.img"));
        Assert.Matches(@"(?m)^pc\.ram +256 KiB +0x\w+ +0x100000 +64 +2 +96\.9 %", Output());
        Assert.Matches(@"(?m)^start +\d+ +ram ", Output());
    }

    [Fact]
    public async Task A_sound_image_passes_verification()
    {
        await WriteImageAsync();
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("verify", "good.img"));
        Assert.Equal("OK: 2 blocks, 2 pages present, 3 sections", Output().Trim());
    }

    [Fact]
    public async Task A_damaged_image_is_refused_with_offset_and_rule()
    {
        var path = await WriteImageAsync();
        var layout = Layout();
        await using (var file = File.OpenWrite(path))
        {
            // The page size of the first RAMBlock's header: QEMU dies of a zero there.
            file.Position = layout.Blocks[0].BitmapOffset - 24;
            await file.WriteAsync(new byte[8]);
        }
        Assert.Equal(ExitCode.Malformed, await _test.RunAsync("verify", "good.img", "-o", "json"));
        var verdict = Json();
        Assert.False(verdict.GetProperty("ok").GetBoolean());
        Assert.Contains(verdict.GetProperty("violations").EnumerateArray(), v => v.GetProperty("rule").GetString() == "page-size");

        Assert.Equal(ExitCode.Malformed, await _test.RunAsync("inspect", "good.img"));
        Assert.Contains($"0x{layout.Blocks[0].BitmapOffset - 24:x}", _test.Error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_migration_as_JSON_has_the_names_of_QEMU()
    {
        _test.Terminal(OutputFormat.Json).Show(
            TestMigration.Status(MigrationPhase.PreSwitchover, FailureReason.RamBlockResized), TimeProvider.System);
        var migration = Json();
        Assert.Equal("pre-switchover", migration.GetProperty("phase").GetString());
        Assert.Equal("ram-block-resized", migration.GetProperty("reason").GetString());
        Assert.Equal(0.34, migration.GetProperty("downtime").GetDouble());
        Assert.Equal(TestMigration.Moment, migration.GetProperty("phase-since").GetDateTimeOffset());
        Assert.False(migration.TryGetProperty("ended", out _));
        var ram = migration.GetProperty("ram");
        Assert.Equal(3, ram.GetProperty("dirty-sync-count").GetInt32());
        Assert.Equal(12 * 4096, ram.GetProperty("normal-bytes").GetInt64());
    }

    [Fact]
    public void A_migration_as_a_table_says_what_an_operator_asks_first()
    {
        _test.Terminal().Show(TestMigration.Status(MigrationPhase.Completed, remaining: 0, rate: 1 << 30), TimeProvider.System);
        Assert.Matches(@"(?m)^id +m-1$", Output());
        Assert.Matches(@"(?m)^phase +completed$", Output());
        Assert.Matches(@"(?m)^time +2\.50 s$", Output());
        Assert.Matches(@"(?m)^downtime +0\.34 s$", Output());
        Assert.Matches(@"(?m)^rate +1 GiB/s$", Output());
    }

    [Fact]
    public void QEMUs_table_of_RAMBlocks_is_read()
    {
        var blocks = GuestMemory.Parse("""
                          Block Name    PSize              Offset               Used              Total                HVA  RO
                              pc.ram    4 KiB  0x0000000000000000 0x0000000004000000 0x0000000004000000 0x00007f1c9be00000  rw
                0000:00:01.0/my rom    2 MiB  0x0000000004080000 0x0000000000040000 0x0000000000080000 0x00007f1ca3a00000  ro
            """);
        Assert.Equal(2, blocks.Count);
        Assert.Equal((0x7f1c9be00000, 64L << 20), blocks["pc.ram"]);
        Assert.Equal((0x7f1ca3a00000, 256L << 10), blocks["0000:00:01.0/my rom"]);
    }

    private string Output() => _test.Out;

    private JsonElement Json() => JsonDocument.Parse(_test.Out).RootElement;

    private static ImageLayout Layout() => ImageLayout.Create("pc-q35-10.0", [new RamBlockSpec("pc.ram", 256 << 10), new RamBlockSpec("pc.bios", 4096)]);

    private async Task<string> WriteImageAsync()
    {
        var layout = Layout();
        var path = Path.Combine(_test.Folder, "good.img");
        await using var file = File.Create(path);
        foreach (var piece in layout.Headers())
        {
            file.Position = piece.Offset;
            await file.WriteAsync(piece.Bytes);
        }
        var shadow = new PageBitmap(64);
        shadow.Set(3);
        shadow.Set(60);
        var bytes = new byte[layout.Blocks[0].BitmapLength];
        shadow.CopyTo(bytes);
        file.Position = layout.Blocks[0].BitmapOffset;
        await file.WriteAsync(bytes);
        file.Position = layout.TailOffset;
        await file.WriteAsync(layout.Tail(new DeviceSections(default, default)));
        return path;
    }
}
