namespace DistMigrate.Bench;

/// <summary>Writes tables that read well as text and as Markdown.</summary>
internal static class MarkdownTable
{
    /// <summary>Writes a heading and a table whose first column is text and the rest figures.</summary>
    public static void Write(string heading, string[] columns, IReadOnlyList<string[]> rows)
    {
        var widths = columns.Select((column, i) => rows.Select(row => row[i].Length).Append(column.Length).Max()).ToArray();
        Console.WriteLine($"## {heading}\n");
        Console.WriteLine(Line(columns, widths));
        Console.WriteLine("|" + string.Concat(widths.Select((width, i) => i == 0 ? new string('-', width + 2) + "|" : new string('-', width + 1) + ":|")));
        foreach (var row in rows)
            Console.WriteLine(Line(row, widths));
        Console.WriteLine();
    }

    private static string Line(string[] cells, int[] widths) =>
        "|" + string.Concat(cells.Select((cell, i) => i == 0 ? $" {cell.PadRight(widths[i])} |" : $" {cell.PadLeft(widths[i])} |"));
}
