using System.Text.Json;
using DistMigrate.Client.Doctor;
using DistMigrate.Client.Output;

namespace DistMigrate.Tests.Unit.Client.Doctor;

public sealed class DoctorOutputTests : IDisposable
{
    private static readonly Subject Host = new(SubjectKind.Host, "hv1");
    private static readonly Subject Storage = new(SubjectKind.Storage, "/srv/images");

    private static readonly CheckResult[] Results =
    [
        new(Host, "kernel", Finding.Ok("Linux 6.18.")),
        new(Host, "clock", Finding.Warning("It is not right.", "clocks matter", "let chrony run")),
        new(Storage, "folder", Finding.Failed("It does not exist.", "it is needed", "make it")),
        new(Storage, "mount", Finding.NotTried("Mend that first.")),
        new(Storage, "space", Finding.NotTried("Mend that first.")),
        new(Storage, "lock", Finding.NotTried("Nobody asked.")),
    ];

    private readonly TestSurroundings _test = new();

    public void Dispose() => _test.Dispose();

    [Fact]
    public async Task Findings_are_aligned_with_reason_and_fix_below_and_what_nobody_tried_for_one_reason_is_one_line()
    {
        await WriteAsync(OutputFormat.Table);
        Assert.Equal(
            """
            host hv1
              ok        kernel             Linux 6.18.
              warning   clock              It is not right.
                                           why: clocks matter
                                           fix: let chrony run

            storage /srv/images
              failed    folder             It does not exist.
                                           why: it is needed
                                           fix: make it
              not tried 2 checks           Mend that first.
              not tried lock               Nobody asked.


            """,
            _test.Out);
        Assert.Equal("1 ok, 1 warning, 1 failed, 3 not tried\n", _test.Error);
    }

    [Fact]
    public async Task JSON_has_every_check_and_the_worst_verdict()
    {
        await WriteAsync(OutputFormat.Json);
        var document = JsonDocument.Parse(_test.Out).RootElement;
        Assert.Equal((1, "failed"), (document.GetProperty("schema").GetInt32(), document.GetProperty("verdict").GetString()));
        var checks = document.GetProperty("checks");
        Assert.Equal(Results.Length, checks.GetArrayLength());
        Assert.Equal(
            ("host", "hv1", "clock", "warning", "It is not right.", "clocks matter", "let chrony run"),
            (Text(checks[1], "kind"), Text(checks[1], "subject"), Text(checks[1], "check"), Text(checks[1], "verdict"), Text(checks[1], "found"),
                Text(checks[1], "why"), Text(checks[1], "fix")));
        Assert.Equal(("not-tried", false), (Text(checks[3], "verdict"), checks[3].TryGetProperty("fix", out _)));
    }

    [Fact]
    public void Long_texts_are_broken_between_words_and_longer_words_are_not()
    {
        Assert.Equal(["fix: one two", "     three", "     unbreakable", "     four"], DoctorOutput.Wrap("fix: ", "one two three unbreakable four", 12));
        Assert.Equal(["text"], DoctorOutput.Wrap("", "text", 40));
        Assert.Equal([""], DoctorOutput.Wrap("", "", 40));
    }

    private static string? Text(JsonElement element, string name) => element.GetProperty(name).GetString();

    private async Task WriteAsync(OutputFormat format)
    {
        await using var output = new DoctorOutput(_test.Terminal(format));
        foreach (var group in Results.GroupBy(result => result.Subject))
        {
            output.Begin(group.Key);
            foreach (var result in group)
                output.Add(result);
        }
        output.Finish(hasNoFolder: false);
    }
}
