using DistMigrate.Client;
using DistMigrate.Client.Commands;
using DistMigrate.Client.Output;

namespace DistMigrate.Tests.Unit.Client;

/// <summary>A process environment of the test's own, with what a command writes.</summary>
internal sealed class TestSurroundings : IDisposable
{
    private readonly StringWriter _out = new();
    private readonly StringWriter _error = new();

    public string Folder { get; } = Directory.CreateTempSubdirectory("dm-client-").FullName;

    public Dictionary<string, string> Variables { get; } = [];

    public TimeProvider Time { get; init; } = TimeProvider.System;

    public bool IsTerminal { get; init; }

    public string Out => _out.ToString();

    public string Error => _error.ToString();

    public Surroundings Surroundings => new(
        _out, _error, IsTerminal, IsTerminal, name => Variables.GetValueOrDefault(name), Folder, Folder, Time);

    public Terminal Terminal(OutputFormat format = OutputFormat.Table) => new(Surroundings, format, noColor: false);

    public Task<int> RunAsync(params string[] arguments)
    {
        // Nothing of the machine that runs the test may reach the command.
        Variables.TryAdd("HOME", Folder);
        return CommandLine.RunAsync(arguments, Surroundings);
    }

    public string Write(string name, string text)
    {
        var path = Path.Combine(Folder, name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        File.WriteAllText(path, text);
        return path;
    }

    public void Dispose() => Directory.Delete(Folder, recursive: true);
}
