using System.Text.RegularExpressions;

namespace DistMigrate.Tests.Unit.Deploy;

/// <summary>What an expression of PromQL reads, as far as our lint asks; whether it is well-formed is asked of Prometheus itself.</summary>
internal sealed partial class PromExpression
{
    private static readonly HashSet<string> Words = ["and", "or", "unless", "bool", "offset"];

    public PromExpression(string text)
    {
        var bare = Grouping().Replace(Texts().Replace(text, match => new string('"', match.Length)), match => new string(' ', match.Length));
        foreach (var name in Name().Matches(bare).Where(match => !Words.Contains(match.Value)))
        {
            var after = bare[(name.Index + name.Length)..].TrimStart();
            if (after.StartsWith('('))
                continue;
            var end = after.StartsWith('{') ? bare.IndexOf('}', name.Index) : name.Index + name.Length;
            Selectors.Add(new PromSelector(name.Value, text[(name.Index + name.Length)..end]));
        }

        Ranges = [.. Range().Matches(text).Select(match => match.Groups[1].Value)];
    }

    /// <summary>What it reads, with the matchers.</summary>
    public List<PromSelector> Selectors { get; } = [];

    /// <summary>Over which times it reads it.</summary>
    public IReadOnlyList<string> Ranges { get; }

    [GeneratedRegex("""
        "(?:[^"\\]|\\.)*"
        """)]
    private static partial Regex Texts();

    // What stands in braces and brackets are no metrics, nor are the labels of a grouping.
    [GeneratedRegex(@"\b(?:by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)|\$\w+|(?<=\{)[^}]*(?=\})|\[[^\]]*\]")]
    private static partial Regex Grouping();

    [GeneratedRegex(@"(?<![\w:.])[a-zA-Z_:][\w:]*")]
    private static partial Regex Name();

    [GeneratedRegex(@"\[([^\]]*)\]")]
    private static partial Regex Range();
}

/// <summary>A metric that is read, and the text of the matchers.</summary>
internal sealed record PromSelector(string Metric, string Matchers);
