using System.Text;
using DistMigrate.Client.Values;
using Spectre.Console;

namespace DistMigrate.Client.Output;

/// <summary>How data is written to standard output.</summary>
internal enum OutputFormat
{
    /// <summary>For people.</summary>
    Table,

    /// <summary>For programs.</summary>
    Json,
}

/// <summary>Standard output for data, standard error for everything else, with colours where they are wanted.</summary>
internal sealed class Terminal
{
    // Lines for a file or a pipe are never broken: that would break what reads them.
    private const int UnlimitedWidth = 8192;

    public Terminal(Surroundings surroundings, OutputFormat format, bool noColor)
    {
        Format = format;
        Out = Create(surroundings, surroundings.Out, surroundings.OutIsTerminal, noColor);
        Error = Create(surroundings, surroundings.Error, surroundings.ErrorIsTerminal, noColor);
        OutIsTerminal = surroundings.OutIsTerminal;
        ErrorIsTerminal = surroundings.ErrorIsTerminal;
    }

    public OutputFormat Format { get; }

    /// <summary>Data.</summary>
    public IAnsiConsole Out { get; }

    /// <summary>Messages and progress.</summary>
    public IAnsiConsole Error { get; }

    public bool OutIsTerminal { get; }

    public bool ErrorIsTerminal { get; }

    /// <summary>Writes one line of data as it is.</summary>
    public void Data(string line) => Out.Profile.Out.Writer.WriteLine(line);

    /// <summary>Says what happens.</summary>
    public void Say(string message) => WriteMessage("", Style.Plain, message);

    /// <summary>Says what the user should know although nothing failed.</summary>
    public void Note(string message) => WriteMessage("note: ", new Style(Color.Blue), message);

    /// <summary>Warns of a consequence.</summary>
    public void Warn(string message) => WriteMessage("warning: ", new Style(Color.Yellow), message);

    /// <summary>Says what failed and, where it is known, what to do.</summary>
    public void Fail(string message, string? hint = null)
    {
        WriteMessage("error: ", new Style(Color.Red, decoration: Decoration.Bold), message);
        if (hint is not null)
            WriteMessage("hint: ", new Style(Color.Aqua), hint);
    }

    /// <summary>Whether colours are wanted: the flag goes first, then NO_COLOR, then CLICOLOR_FORCE, then whether a person reads it.</summary>
    internal static bool WantsColor(Surroundings surroundings, bool isTerminal, bool noColor) =>
        !noColor
        && surroundings.NonEmpty("NO_COLOR") is null
        && (surroundings.NonEmpty("CLICOLOR_FORCE") is { } force and not "0"
            || (isTerminal && surroundings.NonEmpty("TERM") is not "dumb"));

    private void WriteMessage(string label, Style style, string message)
    {
        var text = new Paragraph(label, style).Append(Printable.Lines(message), Style.Plain);
        Error.Write(text);
        Error.WriteLine();
    }

    private static IAnsiConsole Create(Surroundings surroundings, TextWriter writer, bool isTerminal, bool noColor)
    {
        var color = WantsColor(surroundings, isTerminal, noColor);
        var moves = isTerminal && surroundings.NonEmpty("TERM") is not "dumb";
        var console = AnsiConsole.Create(new AnsiConsoleSettings
        {
            Ansi = color || moves ? AnsiSupport.Yes : AnsiSupport.No,
            ColorSystem = !color ? ColorSystemSupport.NoColors : isTerminal ? ColorSystemSupport.Detect : ColorSystemSupport.Standard,
            Interactive = moves ? InteractionSupport.Yes : InteractionSupport.No,
            Out = new WriterOutput(writer, isTerminal),
            // Its own idea of what continuous-integration services can show would override ours.
            Enrichment = new ProfileEnrichment { UseDefaultEnrichers = false },
        });
        if (!isTerminal)
            console.Profile.Width = UnlimitedWidth;
        return console;
    }

    private sealed class WriterOutput(TextWriter writer, bool isTerminal) : IAnsiConsoleOutput
    {
        public TextWriter Writer => writer;

        public bool IsTerminal => isTerminal;

        public int Width => isTerminal ? SizeOr(() => Console.BufferWidth, 80) : UnlimitedWidth;

        public int Height => isTerminal ? SizeOr(() => Console.WindowHeight, 24) : 24;

        public void SetEncoding(Encoding encoding)
        {
            // The writer has its encoding already.
        }

        private static int SizeOr(Func<int> size, int fallback)
        {
            try
            {
                return size() is var value and > 0 ? value : fallback;
            }
            catch (IOException)
            {
                // The terminal does not tell.
                return fallback;
            }
        }
    }
}
