using System.CommandLine;
using System.CommandLine.Completions;
using System.Globalization;
using System.Text;

namespace DistMigrate.Client.Commands;

/// <summary>The manual page distmigrate(1), made from the commands and options themselves.</summary>
internal static class ManualPage
{
    public static IReadOnlyList<(int Code, string Meaning)> ExitCodeMeanings { get; } =
    [
        (ExitCode.Ok, "Done."),
        (ExitCode.Failed, "Failed; the guest is as it was, of a move at its source."),
        (ExitCode.Usage, "The command line or request makes no sense."),
        (ExitCode.Refused, "Refused before anything was touched: the guest, image or path is not fit for it."),
        (ExitCode.Resumable, "Paused; resume goes on from where it was."),
        (ExitCode.Cancelled, "Cancelled."),
        (ExitCode.NotFound, "No such migration, guest or image."),
        (ExitCode.Busy, "Held by another migration, silo or claim."),
        (ExitCode.Malformed, "The image is damaged."),
        (ExitCode.Unreachable, "No silo or cluster answers, or the host, or the target of a move, is down."),
        (ExitCode.Storage, "Storage: no space, read-only, no access, or another failure."),
        (ExitCode.NotConverging, "The guest changes its memory too fast for the downtime that is allowed."),
        (ExitCode.NeedsAttention, "A person must decide."),
        (ExitCode.TimedOut, "The time given by --timeout passed; the migration goes on."),
        (ExitCode.Detached, "Detached by Ctrl-C; the migration goes on."),
    ];

    public static string Of(RootCommand root)
    {
        var page = new StringBuilder();
        Line(page, ".TH DISTMIGRATE 1 \"\" DistMigrate \"User Commands\"");
        Line(page, ".SH NAME");
        Line(page, "distmigrate \\- save, restore and move QEMU guests through mapped-ram images");
        Line(page, ".SH SYNOPSIS");
        Line(page, "\\fBdistmigrate\\fR \\fICOMMAND\\fR [\\fIOPTION\\fR]...");
        Line(page, ".SH DESCRIPTION");
        foreach (var sentence in root.Description!.Split('\n'))
            Line(page, Text(sentence));
        Line(page, ".SH COMMANDS");
        foreach (var command in root.Subcommands.Where(command => !command.Hidden))
            AddCommand(page, command);
        Line(page, ".SH OPTIONS OF EVERY COMMAND");
        AddOptions(page, root.Options);
        Line(page, ".SH EXIT STATUS");
        foreach (var (code, meaning) in ExitCodeMeanings)
            AddItem(page, $"\\fB{code.ToString(CultureInfo.InvariantCulture)}\\fR", meaning);
        Line(page, ".SH FILES");
        AddItem(page, "\\fI~/.config/distmigrate/config.json\\fR, \\fI/etc/distmigrate/config.json\\fR", "Configuration of the command: \"gateways\" or \"redis\", \"cluster-id\", \"host\", \"state\" and the files for TLS.");
        Line(page, ".SH SEE ALSO");
        Line(page, "\\fBdistmigrate-silo\\fR(8), \\fBqemu-system-x86_64\\fR(1), /usr/share/doc/distmigrate");
        return page.ToString().TrimEnd();
    }

    private static void AddCommand(StringBuilder page, Command command)
    {
        var usage = new StringBuilder($".SS \"{command.Name}");
        foreach (var argument in command.Arguments)
            usage.Append(CultureInfo.InvariantCulture, $" {(argument.Arity.MinimumNumberOfValues == 0 ? $"[{argument.Name}]" : argument.Name)}");
        Line(page, usage.Append('"').ToString());
        Line(page, Text(command.Description));
        foreach (var argument in command.Arguments)
            AddItem(page, $"\\fI{Text(argument.Name)}\\fR", argument.Description);
        AddOptions(page, command.Options);
    }

    private static void AddOptions(StringBuilder page, IEnumerable<Option> options)
    {
        foreach (var option in options.Where(option => !option.Hidden))
        {
            var names = string.Join(", ", option.Aliases.Prepend(option.Name).Where(name => name.StartsWith('-')).Distinct().Select(name => $"\\fB{Text(name)}\\fR"));
            var value = option.ValueType == typeof(bool) || option.Arity.MaximumNumberOfValues == 0 ? "" : $" \\fI{Text(ValueOf(option))}\\fR";
            var standard = option.HasDefaultValue && option.GetDefaultValue() is { } given and not false ? $" [default: {given}]" : "";
            AddItem(page, names + value, option.Description + standard);
        }
    }

    /// <summary>What it takes, or the words that it takes alone.</summary>
    private static string ValueOf(Option option) => option.HelpName ?? string.Join('|', option.GetCompletions(CompletionContext.Empty).Select(item => item.Label));

    private static void AddItem(StringBuilder page, string tag, string? text)
    {
        Line(page, ".TP");
        Line(page, tag);
        Line(page, Text(text));
    }

    private static void Line(StringBuilder page, string line) => page.Append(line).Append('\n');

    /// <summary>Text that roff takes as it stands: a line that begins with a dot or quote would be a request.</summary>
    private static string Text(string? text)
    {
        var escaped = (text ?? "").Replace("\\", "\\e", StringComparison.Ordinal).Replace("-", "\\-", StringComparison.Ordinal).Replace('\n', ' ');
        return escaped.StartsWith('.') || escaped.StartsWith('\'') ? "\\&" + escaped : escaped;
    }
}
