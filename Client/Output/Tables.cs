using DistMigrate.Client.Values;
using Spectre.Console;

namespace DistMigrate.Client.Output;

/// <summary>Tables for people: framed on a terminal, bare columns in a file or a pipe.</summary>
internal static class Tables
{
    /// <summary>Makes a table. A heading that begins with '&gt;' makes a column of numbers, set to the right.</summary>
    public static Table Make(Terminal terminal, params string[] headings)
    {
        var table = new Table { Border = terminal.OutIsTerminal ? TableBorder.Rounded : TableBorder.None };
        foreach (var heading in headings)
        {
            var isNumber = heading.StartsWith('>');
            var text = isNumber ? heading[1..] : heading;
            var column = new TableColumn(new Text(terminal.OutIsTerminal ? text : text.ToUpperInvariant(), new Style(decoration: Decoration.Bold)));
            column.Alignment = isNumber ? Justify.Right : Justify.Left;
            column.NoWrap = isNumber;
            if (!terminal.OutIsTerminal)
                column.Padding = new Padding(0, 0, 2, 0);
            table.AddColumn(column);
        }
        return table;
    }

    /// <summary>Adds a row; the cells are taken as plain text.</summary>
    public static void Row(this Table table, params string[] cells) =>
        table.AddRow(cells.Select(cell => new Text(Printable.Lines(cell))));

    /// <summary>Writes a table to standard output.</summary>
    public static void Show(this Terminal terminal, Table table) => terminal.Out.Write(table);

    /// <summary>Writes names and values, one pair to a line; pairs without a value are left out.</summary>
    public static void ShowPairs(this Terminal terminal, params (string Name, string? Value)[] pairs)
    {
        var width = pairs.Where(pair => !string.IsNullOrEmpty(pair.Value)).Max(pair => pair.Name.Length) + 2;
        foreach (var (name, value) in pairs)
        {
            if (string.IsNullOrEmpty(value))
                continue;
            terminal.Out.Write(new Paragraph(name.PadRight(width), new Style(decoration: Decoration.Bold)).Append(Printable.Of(value), Style.Plain));
            terminal.Out.WriteLine();
        }
    }
}
