using System.Net.Sockets;

namespace DistMigrate.Client.Doctor.Guests;

/// <summary>Whether the monitor answers.</summary>
internal static class MonitorCheck
{
    private const string Why = "a guest is stopped, described and continued by its monitor";

    public static async Task<Finding> LookAsync(GuestScene scene, CancellationToken cancellation)
    {
        try
        {
            await scene.ConnectAsync(cancellation);
            var state = await scene.Monitor.RunStateAsync(cancellation);
            return Finding.Ok($"It answers: process {scene.Pid} of user {scene.User}, and the guest is {state}.");
        }
        catch (SocketException e)
        {
            return Finding.Failed($"It cannot be connected: {e.Message}.", Why, e.SocketErrorCode switch
            {
                SocketError.AccessDenied => "run this as root or as QEMU's user",
                SocketError.ConnectionRefused => "no process listens on it any longer: start the guest, or remove the socket",
                _ => "start QEMU with -qmp unix:SOCKET,server=on,wait=off, and name that socket",
            });
        }
        catch (CommandException e)
        {
            return Finding.Failed(e.Message, Why, e.Hint ?? "name the socket of -qmp, not that of -monitor or of a guest agent");
        }
        catch (OperationCanceledException)
        {
            return Finding.Failed(
                "It takes the connection, and says nothing.", Why + ", and serves one client at a time",
                "a silo that saves this guest has it, or another program: give the guest a monitor of its own for DistMigrate (another -qmp)");
        }
    }
}
