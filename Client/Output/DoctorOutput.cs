using DistMigrate.Client.Doctor;
using DistMigrate.Client.Values;
using Spectre.Console;

namespace DistMigrate.Client.Output;

/// <summary>Writes what <c>distmigrate doctor</c> found: for people each finding as it comes, for programs all in one document at the end.</summary>
internal sealed class DoctorOutput(Terminal terminal) : IAsyncDisposable
{
    private const int VerdictWidth = 12;
    private const int CheckWidth = 19;
    private const int LeastTextWidth = 40;

    private readonly List<CheckResult> _results = [];
    private readonly List<CheckResult> _untried = [];
    private bool _isFirst = true;
    private bool _hasLine;

    /// <summary>What was found so far.</summary>
    public IReadOnlyList<CheckResult> Results => _results;

    /// <summary>Names what is examined next.</summary>
    public void Begin(Subject subject)
    {
        if (terminal.Format == OutputFormat.Json)
            return;
        Erase();
        WriteUntried();
        if (!_isFirst)
            terminal.Data("");
        _isFirst = false;
        terminal.Out.Write(new Text($"{OutputJson.NameOf(subject.Kind)} {Printable.Of(subject.Name)}", new Style(decoration: Decoration.Bold)));
        terminal.Out.WriteLine();
    }

    /// <summary>Tells a person who waits what is looked at just now.</summary>
    public void Looking(string check)
    {
        if (!terminal.Error.Profile.Capabilities.Interactive)
            return;
        Erase();
        terminal.Error.Write(new Text($"looking at {check} …"));
        _hasLine = true;
    }

    /// <summary>Takes a finding.</summary>
    public void Add(CheckResult result)
    {
        _results.Add(result);
        if (terminal.Format == OutputFormat.Json)
            return;
        Erase();

        // Checks in a row that nobody made for one reason are one line.
        if (_untried.Count > 0 && result.Finding != _untried[0].Finding)
            WriteUntried();
        if (result.Finding.Verdict == Verdict.NotTried)
            _untried.Add(result);
        else
            Write(result.Check, result.Finding);
    }

    /// <summary>Sums up.</summary>
    /// <param name="hasNoFolder">Whether no folder was named.</param>
    public void Finish(bool hasNoFolder)
    {
        Erase();
        WriteUntried();
        if (terminal.Format == OutputFormat.Json)
            OutputJson.Write(terminal, ToDocument(_results), OutputJson.Writing.DoctorDocument);
        else
            terminal.Data("");
        terminal.Say(string.Join(", ", Enum.GetValues<Verdict>()
            .Select(verdict => (Verdict: verdict, Count: _results.Count(result => result.Finding.Verdict == verdict)))
            .Where(entry => entry.Count > 0 || entry.Verdict == Verdict.Failed)
            .Select(entry => $"{entry.Count} {NameOf(entry.Verdict)}{(entry.Verdict == Verdict.Warning && entry.Count != 1 ? "s" : "")}")));
        if (hasNoFolder)
            terminal.Note("no folder was named; 'distmigrate doctor FOLDER' also checks the storage of images");
    }

    public ValueTask DisposeAsync()
    {
        Erase();
        return ValueTask.CompletedTask;
    }

    internal static DoctorDocument ToDocument(IReadOnlyList<CheckResult> results) => new(
        OutputJson.Schema,
        // "Not tried" stands beside another verdict that says why, or was not asked for.
        OutputJson.NameOf(results.Select(result => result.Finding.Verdict).Where(verdict => verdict != Verdict.NotTried).DefaultIfEmpty(Verdict.NotTried).Max()),
        [.. results.Select(result => new CheckEntry(
            OutputJson.NameOf(result.Subject.Kind), result.Subject.Name, result.Check, OutputJson.NameOf(result.Finding.Verdict),
            result.Finding.Found, result.Finding.Why, result.Finding.Fix))]);

    /// <summary>Breaks a text between words.</summary>
    /// <param name="label">What the first line begins with; the others are indented by as much.</param>
    /// <param name="text">The text.</param>
    /// <param name="width">How long a line may be, unless a word is longer.</param>
    internal static IEnumerable<string> Wrap(string label, string text, int width)
    {
        var start = label;
        var line = "";
        foreach (var word in Printable.Lines(text).Split([' ', '\n'], StringSplitOptions.RemoveEmptyEntries))
        {
            if (line.Length > 0 && start.Length + line.Length + 1 + word.Length > width)
            {
                yield return start + line;
                start = new string(' ', label.Length);
                line = "";
            }
            line += line.Length == 0 ? word : " " + word;
        }
        yield return start + line;
    }

    private void WriteUntried()
    {
        if (_untried.Count > 0)
            Write(_untried.Count == 1 ? _untried[0].Check : $"{_untried.Count} checks", _untried[0].Finding);
        _untried.Clear();
    }

    private void Write(string check, Finding finding)
    {
        var indent = new string(' ', VerdictWidth + CheckWidth);
        var width = Math.Max(LeastTextWidth, terminal.Out.Profile.Width - indent.Length - 1);
        var lines = Wrap("", finding.Found, width)
            .Concat(finding.Why is { } why ? Wrap("why: ", why, width) : [])
            .Concat(finding.Fix is { } fix ? Wrap("fix: ", fix, width) : []);
        terminal.Out.Write(new Paragraph("  " + NameOf(finding.Verdict).PadRight(VerdictWidth - 2), StyleOf(finding.Verdict))
            .Append(check.PadRight(CheckWidth) + string.Join("\n" + indent, lines), Style.Plain));
        terminal.Out.WriteLine();
    }

    private static string NameOf(Verdict verdict) => verdict == Verdict.NotTried ? "not tried" : OutputJson.NameOf(verdict);

    private static Style StyleOf(Verdict verdict) => verdict switch
    {
        Verdict.Ok => new Style(Color.Green),
        Verdict.Warning => new Style(Color.Yellow),
        Verdict.Failed => new Style(Color.Red, decoration: Decoration.Bold),
        _ => new Style(Color.Grey),
    };

    private void Erase()
    {
        if (!_hasLine)
            return;
        _hasLine = false;
        terminal.Error.Profile.Out.Writer.Write("\r\u001b[K");
    }
}
