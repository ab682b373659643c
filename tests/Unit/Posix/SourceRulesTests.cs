using System.Text.RegularExpressions;

namespace DistMigrate.Tests.Unit.Posix;

public sealed partial class SourceRulesTests
{
    private static readonly string[] Projects = ["Client", "Contracts", "Grains", "Guests", "MappedRam", "Posix", "Silo", "Tls", "Transfer"];

    [Fact]
    public void System_calls_are_made_in_Posix_alone() =>
        Assert.DoesNotContain(Sources(), file => !file.StartsWith("Posix/", StringComparison.Ordinal) && Import().IsMatch(Text(file)));

    [Fact]
    public void The_two_calls_that_hide_a_failed_fsync_are_made_nowhere() =>
        Assert.DoesNotContain(Sources(), file => HiddenFailure().IsMatch(Text(file)));

    [Fact]
    public void The_rules_look_at_the_product_itself()
    {
        Assert.Contains("Posix/Libc.cs", Sources());
        Assert.Matches(Import(), Text("Posix/Libc.cs"));
        Assert.All(Projects, project => Assert.Contains(Sources(), file => file.StartsWith(project + "/", StringComparison.Ordinal)));
        Assert.Matches(HiddenFailure(), "stream.Flush(true); RandomAccess.FlushToDisk(handle); stream.Flush(flushToDisk: true)");
    }

    [GeneratedRegex(@"\[\s*(Library|Dll)Import\b")]
    private static partial Regex Import();

    [GeneratedRegex(@"\bFlushToDisk\s*\(|\.Flush\s*\(\s*(flushToDisk\s*:\s*)?true")]
    private static partial Regex HiddenFailure();

    private static string Text(string file) => File.ReadAllText(Repository.Path(file));

    private static List<string> Sources() =>
        [.. Projects.SelectMany(project => Directory.EnumerateFiles(Repository.Path(project), "*.cs", SearchOption.AllDirectories))
            .Select(file => Path.GetRelativePath(Repository.Root, file)).Where(file => !file.Contains("/obj/", StringComparison.Ordinal))];
}
