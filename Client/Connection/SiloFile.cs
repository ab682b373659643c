using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace DistMigrate.Client.Connection;

/// <summary>
/// <c>silo.json</c> in the state folder: where the background silo of this user listens. The silo writes it, mode 0600, once it
/// is ready; the cluster id in it is the secret that keeps other users of the machine out.
/// </summary>
internal sealed record SiloFile(
    int Pid, string? Host, string? Gateway, string? ClusterId, string? ServiceId, string? Http, string? Version)
{
    public const string FileName = "silo.json";

    // The file has seven short fields; more is not ours.
    private const int MaxLength = 64 * 1024;

    /// <summary>Reads the file of a state folder; null when it is not there, or not (yet) a whole description of a silo.</summary>
    /// <exception cref="CommandException">It is there but may not be read.</exception>
    public static SiloFile? TryRead(string stateFolder)
    {
        var path = Path.Combine(stateFolder, FileName);
        try
        {
            using var stream = File.OpenRead(path);
            if (stream.Length is 0 or > MaxLength)
                return null;
            var file = JsonSerializer.Deserialize(stream, SiloFileJson.Default.SiloFile);
            return file is { Pid: > 0, Host.Length: > 0, ClusterId.Length: > 0, ServiceId.Length: > 0 } && file.TryGateway() is not null
                ? file
                : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException or JsonException)
        {
            return null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new CommandException(
                ExitCode.Unreachable,
                $"the silo's address in {path} cannot be read: {e.Message}",
                "only the user who started that silo may use it; use your own state folder (DISTMIGRATE_STATE)");
        }
    }

    /// <summary>The gateway; null when the text is no address.</summary>
    public IPEndPoint? TryGateway() => IPEndPoint.TryParse(Gateway ?? "", out var gateway) && gateway.Port != 0 ? gateway : null;

    /// <summary>Whether its process lives.</summary>
    public bool IsProcessAlive() => Directory.Exists(Path.Combine("/proc", Pid.ToString(CultureInfo.InvariantCulture)));

    /// <summary>Whether its process lives and its gateway takes connections.</summary>
    public async Task<bool> IsAliveAsync(CancellationToken cancellation)
    {
        if (!IsProcessAlive() || TryGateway() is not { } gateway)
            return false;
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        limit.CancelAfter(TimeSpan.FromSeconds(2));
        using var socket = new Socket(gateway.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(gateway, limit.Token);
            return true;
        }
        catch (Exception e) when (e is SocketException or OperationCanceledException && !cancellation.IsCancellationRequested)
        {
            return false;
        }
    }
}
