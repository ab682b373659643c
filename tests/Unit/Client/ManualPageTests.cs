using System.Reflection;
using DistMigrate.Client;
using DistMigrate.Client.Commands;

namespace DistMigrate.Tests.Unit.Client;

public sealed class ManualPageTests : IDisposable
{
    private readonly TestSurroundings _test = new();

    public void Dispose() => _test.Dispose();

    [Fact]
    public async Task It_has_every_command_with_its_options()
    {
        Assert.Equal(ExitCode.Ok, await _test.RunAsync("manual"));
        var root = CommandLine.Create(_test.Surroundings);
        var shown = root.Subcommands.Where(command => !command.Hidden).ToList();
        Assert.True(shown.Count > 20);
        foreach (var command in shown)
        {
            var section = _test.Out.Split($"\n.SS \"{command.Name}")[1].Split("\n.SS")[0];
            Assert.All(command.Arguments, argument => Assert.Contains(argument.Name, section, StringComparison.Ordinal));
            Assert.All(command.Options.Where(option => !option.Hidden), option => Assert.Contains(
                $"\\fB{option.Name.Replace("-", "\\-", StringComparison.Ordinal)}\\fR", section, StringComparison.Ordinal));
        }

        Assert.Contains("\\fB\\-\\-output\\fR, \\fB\\-o\\fR \\fIjson|table\\fR\n", _test.Out, StringComparison.Ordinal);
        Assert.DoesNotContain("manual", _test.Out, StringComparison.Ordinal);
    }

    [Fact]
    public void It_has_every_exit_code() => Assert.Equal(
        typeof(ExitCode).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => (int)field.GetRawConstantValue()!).Order(),
        ManualPage.ExitCodeMeanings.Select(meaning => meaning.Code).Order());
}
