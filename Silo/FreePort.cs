using System.Net;
using System.Net.Sockets;

namespace DistMigrate.Silo;

/// <summary>
/// Chooses ports for what is configured to take a free one. They lie below the range from which the kernel serves outgoing connections
/// (ip(7), <c>ip_local_port_range</c>): one of those could take the port between our choice and the silo's bind.
/// </summary>
internal static class FreePort
{
    private const int First = 10240;
    private const int End = 32768;
    private const int Tries = 1000;

    /// <exception cref="InvalidOperationException">None was found.</exception>
    public static int Choose()
    {
        for (var i = 0; i < Tries; i++)
        {
            var port = Random.Shared.Next(First, End);
            using var listener = new TcpListener(IPAddress.Any, port);
            try
            {
                listener.Start();
                return port;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
            {
            }
        }

        throw new InvalidOperationException($"no free port from {First} to {End - 1} was found. Configure GatewayPort, SiloPort and HttpPort.");
    }
}
