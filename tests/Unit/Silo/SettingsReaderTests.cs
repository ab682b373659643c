using System.Collections;
using DistMigrate.Silo;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class SettingsReaderTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("dm-settings-").FullName;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void Everything_that_is_wrong_is_told_at_once()
    {
        var refused = Refuse("""
            {
              "Host": "a/b",
              "Adress": "10.0.0.1",
              "Address": { "Ip": "10.0.0.1" },
              "GatewayPort": "thirty",
              "SiloPort": 99999,
              "MaxOutgoing": 3,
              "Storage": { "Roots": "/srv" },
              "Guests": { "vm1": null, "vm2": "relative" },
              "Launch": "qemu",
              "Limits": { "Writers": 1.5, "MaxDowntime": "10 seconds", "EpochBytes": "9999999999999999999999", "Frobnicate": 1 },
              "Cluster": { "Provider": "Rediss", "Tls": { "Certificate": "/c.pem" } },
              "IdleExit": "soon"
            }
            """);
        Assert.Equal(
            [
                "Address has settings below it; it is a text",
                "Adress is no setting; Address is one",
                "Cluster:Provider is 'Rediss'; it is Local or Redis",
                "Cluster:Tls:Authority is ''; it is the absolute path of a PEM file, and Certificate, Key and Authority go together",
                "Cluster:Tls:Key is ''; it is the absolute path of a PEM file, and Certificate, Key and Authority go together",
                "GatewayPort is 'thirty'; it is a whole number",
                "Guests:vm1 is null; it is a text, or left out",
                "Guests:vm2 is 'relative'; it is the absolute path of a monitor socket",
                "Host is 'a/b'; use 1 to 64 letters, digits, dots, dashes and underscores, and do not begin with a dot or dash",
                "IdleExit is 'soon'; it is a time, such as 00:00:30",
                "Launch is a single value; it has settings below it",
                "Limits:EpochBytes is '9999999999999999999999'; it is a whole number",
                "Limits:Frobnicate is no setting",
                "Limits:MaxDowntime is '10 seconds'; it is a time, such as 00:00:30",
                "Limits:Writers is '1.5'; it is a whole number",
                "MaxOutgoing is no setting; Limits:MaxOutgoing is one",
                "SiloPort is 99999; it is 1 to 65535, or 0 for a free one",
                "Storage:Roots is a single value; it is a list, such as [ \"one\", \"two\" ], or in the environment a variable for each entry that ends with its number (__0)",
            ],
            refused.Faults.Order(StringComparer.Ordinal));
        Assert.StartsWith("18 settings cannot be used:\n  ", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void No_secret_is_told()
    {
        var refused = Refuse("""
            {
              "Cluster": { "Provider": "Redis", "ConnectionString": { "Password": "hush" }, "Id": [ "hush" ], "Pasword": "hush", "Conection": "hush" },
              "Definitions": { "vm1": { "Arguments": "hush" }, "vm2": { "Arguments": [ { "a": "hush" } ] }, "vm3": "hush" },
              "ConnectionString": "hush"
            }
            """);
        Assert.Equal(8, refused.Faults.Count);
        Assert.DoesNotContain("hush", refused.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("{ \"Host\": ", "silo.json")]
    [InlineData("{ \"Host\": \"a\", \"host\": \"b\" }", "host")]
    public void A_file_that_is_no_JSON_is_told_with_its_path_and_fault(string text, string expected)
    {
        var refused = Refuse(text);
        Assert.Contains(Path.Combine(_folder, "silo.json"), Assert.Single(refused.Faults), StringComparison.Ordinal);
        Assert.Contains(expected, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_file_that_is_not_there_is_told() => Assert.Contains(
        "nowhere.json", Assert.Throws<SettingsException>(() => SettingsReader.Load(Path.Combine(_folder, "nowhere.json"), new Hashtable())).Message,
        StringComparison.Ordinal);

    [Fact]
    public void The_environment_wins_over_the_file_and_comments_and_empty_sections_are_no_fault()
    {
        var settings = SettingsReader.Load(
            File("""
                {
                  // a comment
                  "Host": "a", "Storage": { "Roots": [] }, "Guests": {}, "Limits": { "Writers": 3, },
                }
                """),
            new Hashtable { ["DISTMIGRATE_Limits__Writers"] = "5" });
        Assert.Equal(("a", 5), (settings.Host, settings.Limits.Writers));
        Assert.Empty(settings.Storage.Roots);
    }

    [Fact]
    public void The_example_in_the_repository_can_be_used() =>
        Assert.Equal("hv1", SettingsReader.Load(Repository.Path("deploy/silo.json"), new Hashtable()).Host);

    private SettingsException Refuse(string text) => Assert.Throws<SettingsException>(() => SettingsReader.Load(File(text), new Hashtable()));

    private string File(string text)
    {
        var path = Path.Combine(_folder, "silo.json");
        System.IO.File.WriteAllText(path, text);
        return path;
    }
}
