using DistMigrate.Silo;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class SettingsReferenceTests
{
    [Fact]
    public void The_documentation_has_the_settings_as_they_are() => Assert.True(
        File.ReadAllText(Repository.Path("docs/configuration.md")).Contains("\n\n" + SettingsReference.ToMarkdown() + "\n", StringComparison.Ordinal),
        "docs/configuration.md does not have the table of settings that distmigrate-silo --describe-settings prints; eng/update-docs writes it.");

    [Fact]
    public void Every_setting_is_there_with_its_kind_and_default()
    {
        var settings = SettingsReference.All.ToDictionary(entry => entry.Name);
        Assert.Equal(("the machine's name", "a text"), (settings["Host"].Default, settings["Host"].Kind));
        Assert.Equal(("`00:00:10`", "a time, such as 00:00:30"), (settings["Limits:MaxDowntime"].Default, settings["Limits:MaxDowntime"].Kind));
        Assert.Equal(("`1048576`", "a whole number"), (settings["Limits:ExtentBytes"].Default, settings["Limits:ExtentBytes"].Kind));
        Assert.Equal(("`Local`", "Local or Redis"), (settings["Cluster:Provider"].Default, settings["Cluster:Provider"].Kind));
        Assert.Equal(("none", "a list of texts"), (settings["Definitions:NAME:Arguments"].Default, settings["Definitions:NAME:Arguments"].Kind));
        Assert.Equal("none", settings["Guests:NAME"].Default);
        Assert.All(SettingsReference.All, entry => Assert.DoesNotContain('|', entry.Meaning));
    }
}
