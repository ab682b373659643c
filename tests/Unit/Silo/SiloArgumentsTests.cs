using System.Text.RegularExpressions;
using DistMigrate.Silo;

namespace DistMigrate.Tests.Unit.Silo;

public sealed partial class SiloArgumentsTests
{
    [Fact]
    public void Every_option_is_taken_and_paths_are_made_absolute()
    {
        Assert.True(SiloArguments.TryParse(["--background", "--state", "state/../s", "--config", "silo.json"], out var arguments, out var error));
        Assert.Equal(new SiloArguments(Path.GetFullPath("s"), Background: true, Path.GetFullPath("silo.json")), arguments);
        Assert.Empty(error);
    }

    [Fact]
    public void Without_options_the_silo_stays_in_the_foreground_with_a_folder_of_the_user()
    {
        Assert.True(SiloArguments.TryParse([], out var arguments, out _));
        Assert.False(arguments.Background);
        Assert.True(Path.IsPathFullyQualified(arguments.StateFolder));
    }

    [Theory]
    [InlineData("--help")]
    [InlineData("-h")]
    public void Help_is_no_error(string option)
    {
        Assert.False(SiloArguments.TryParse([option], out _, out var error));
        Assert.Equal(SiloArguments.Help, error);
    }

    [Theory]
    [InlineData("--state")]
    [InlineData("--config")]
    [InlineData("--stat", "x")]
    [InlineData("x")]
    [InlineData("")]
    [InlineData("--background=yes")]
    public void What_is_not_understood_is_named(params string[] arguments)
    {
        Assert.False(SiloArguments.TryParse(arguments, out var parsed, out var error));
        Assert.Null(parsed);
        Assert.StartsWith($"error: '{arguments[0]}' is not understood.", error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_manual_page_has_the_options_of_the_help_and_no_others()
    {
        var page = File.ReadAllText(Repository.Path("deploy/deb/distmigrate-silo.8")).Replace("\\-", "-", StringComparison.Ordinal);
        Assert.Equal(Options($"{SiloArguments.Help} --help"), Options(page));
    }

    private static SortedSet<string> Options(string text) => new(Option().Matches(text).Select(match => match.Value), StringComparer.Ordinal);

    [GeneratedRegex("--[a-z-]+")]
    private static partial Regex Option();
}
