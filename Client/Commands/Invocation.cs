using System.CommandLine;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;

namespace DistMigrate.Client.Commands;

/// <summary>One run of a command.</summary>
/// <param name="Surroundings">The process around it.</param>
/// <param name="Terminal">Where it writes.</param>
/// <param name="Parsed">Its arguments.</param>
/// <param name="Cancellation">Cancelled by Ctrl-C.</param>
internal sealed record Invocation(Surroundings Surroundings, Terminal Terminal, ParseResult Parsed, CancellationToken Cancellation)
{
    public TimeProvider Time => Surroundings.Time;

    public ClientSettings LoadSettings() => ClientSettings.Load(Surroundings, GlobalOptions.SettingsOf(Parsed, Surroundings));

    /// <summary>Connects to the configured cluster or the background silo.</summary>
    /// <exception cref="CommandException">No silo answers.</exception>
    public Task<SiloConnection> ConnectAsync() => ConnectAsync(LoadSettings());

    /// <summary>Connects as <paramref name="settings"/> say.</summary>
    public Task<SiloConnection> ConnectAsync(ClientSettings settings) => SiloConnection.OpenAsync(
        settings, Surroundings, new Dictionary<string, string>(), Terminal.Say, Cancellation);

    /// <summary>A path from the root on; null for none.</summary>
    public string? Absolute(string? path) => path is null ? null : Surroundings.Absolute(path);

    public T Get<T>(Option<T> option) => Parsed.GetValue(option)!;

    public T Get<T>(Argument<T> argument) => Parsed.GetValue(argument)!;
}
