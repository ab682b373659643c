using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace DistMigrate.Silo;

/// <summary>
/// A free port for what is configured to take one, which no other <see cref="FreePort"/> of the machine chooses until it is disposed: it
/// is held by an abstract socket of its number (unix(7)), which ends with its process. It lies below the range from which the kernel
/// serves outgoing connections (ip(7), <c>ip_local_port_range</c>): one of those could take the port before its owner binds it.
/// </summary>
internal sealed class FreePort : IDisposable
{
    private const int First = 10240;
    private const int End = 32768;
    private const int Tries = 1000;

    private readonly Socket _hold;

    private FreePort(int number, Socket hold)
    {
        Number = number;
        _hold = hold;
    }

    public int Number { get; }

    /// <exception cref="InvalidOperationException">None was found.</exception>
    public static FreePort Choose()
    {
        for (var i = 0; i < Tries; i++)
        {
            if (TryTake(Random.Shared.Next(First, End)) is { } port)
                return port;
        }

        throw new InvalidOperationException($"no free port from {First} to {End - 1} was found. Configure GatewayPort, SiloPort and HttpPort.");
    }

    /// <returns>Null when it is not free, or another has chosen it.</returns>
    internal static FreePort? TryTake(int number)
    {
        var hold = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
        try
        {
            hold.Bind(new UnixDomainSocketEndPoint(string.Create(CultureInfo.InvariantCulture, $"\0distmigrate-port-{number}")));
            using var listener = new TcpListener(IPAddress.Any, number);
            listener.Start();
            return new FreePort(number, hold);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            hold.Dispose();
            return null;
        }
        catch
        {
            hold.Dispose();
            throw;
        }
    }

    public void Dispose() => _hold.Dispose();
}
