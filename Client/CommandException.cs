namespace DistMigrate.Client;

/// <summary>Ends a command with a message for its user.</summary>
internal sealed class CommandException(int exitCode, string message, string? hint = null, Exception? innerException = null)
    : Exception(message, innerException)
{
    public int ExitCode { get; } = exitCode;

    /// <summary>What to do about it, where the message does not say so.</summary>
    public string? Hint { get; } = hint;

    public static CommandException Usage(string message, string? hint = null) => new(Client.ExitCode.Usage, message, hint);
}
