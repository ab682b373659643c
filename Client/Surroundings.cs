namespace DistMigrate.Client;

/// <summary>What a command takes from the process around it, in one place so that a test can give its own.</summary>
/// <param name="Out">Standard output: data.</param>
/// <param name="Error">Standard error: messages and progress.</param>
/// <param name="OutIsTerminal">Whether a person reads <paramref name="Out"/>.</param>
/// <param name="ErrorIsTerminal">Whether a person reads <paramref name="Error"/>.</param>
/// <param name="Variable">Reads an environment variable; null when it is not set.</param>
/// <param name="CurrentFolder">Relative paths are below it.</param>
/// <param name="ProgramFolder">Where the client's own file lies.</param>
/// <param name="Time">The clock.</param>
internal sealed record Surroundings(
    TextWriter Out,
    TextWriter Error,
    bool OutIsTerminal,
    bool ErrorIsTerminal,
    Func<string, string?> Variable,
    string CurrentFolder,
    string ProgramFolder,
    TimeProvider Time)
{
    public static Surroundings OfThisProcess() => new(
        Console.Out,
        Console.Error,
        !Console.IsOutputRedirected,
        !Console.IsErrorRedirected,
        Environment.GetEnvironmentVariable,
        Environment.CurrentDirectory,
        AppContext.BaseDirectory,
        TimeProvider.System);

    /// <summary>The variable's value, or null when it is not set or empty.</summary>
    public string? NonEmpty(string variable) => Variable(variable) is { Length: > 0 } value ? value : null;

    /// <summary>The path as an absolute one.</summary>
    public string Absolute(string path) => Path.GetFullPath(path, CurrentFolder);
}
