using System.Buffers.Binary;
using System.Net.Sockets;
using DistMigrate.Client.Doctor.Hosts;
using DistMigrate.Client.Qmp;

namespace DistMigrate.Client.Doctor.Guests;

/// <summary>A guest that is examined, by its monitor, to which it is connected for the time of the checks.</summary>
internal sealed class GuestScene(string socketPath) : IAsyncDisposable
{
    private QmpMonitor? _monitor;

    /// <summary>The process that listens on the socket, as the kernel has it; 0 in another pid namespace.</summary>
    public int Pid { get; private set; }

    /// <summary>That process's user.</summary>
    public int User { get; private set; }

    /// <summary>What QEMU says of itself; null while it has not been asked.</summary>
    public QemuFacts? Facts { get; private set; }

    /// <summary>The connected monitor.</summary>
    /// <exception cref="CommandException">There is none, since connecting failed.</exception>
    public QmpMonitor Monitor => _monitor ?? throw new CommandException(ExitCode.Refused, "The monitor does not answer.");

    /// <summary>Connects and asks QEMU what it is.</summary>
    /// <exception cref="SocketException">Nobody may, or does, answer.</exception>
    /// <exception cref="CommandException">What answers is no monitor of a guest.</exception>
    public async Task ConnectAsync(CancellationToken cancellation)
    {
        var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellation);
            ReadPeer(socket);
            _monitor = await QmpMonitor.OpenAsync(socket, cancellation);
            Facts = await QemuFacts.AskAsync("the guest's", _monitor, cancellation);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    public ValueTask DisposeAsync() => _monitor?.DisposeAsync() ?? ValueTask.CompletedTask;

    private void ReadPeer(Socket socket)
    {
        const int solSocket = 1;
        const int peerCredentials = 17;
        Span<byte> credentials = stackalloc byte[12];
        socket.GetRawSocketOption(solSocket, peerCredentials, credentials);
        Pid = BinaryPrimitives.ReadInt32LittleEndian(credentials);
        User = BinaryPrimitives.ReadInt32LittleEndian(credentials[4..]);
    }
}
