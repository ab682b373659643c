using System.Net.Sockets;
using System.Text;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>Listens on a unix socket, as a monitor would, and answers every connection with the same bytes.</summary>
internal sealed class FakeMonitor : IAsyncDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _folder = Directory.CreateTempSubdirectory("dm-fake-").FullName;
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _serving;

    /// <summary>Begins to listen.</summary>
    /// <param name="greeting">What a client reads first; null for nothing.</param>
    /// <param name="closes">Whether the connection is closed after that; otherwise it stays open without a further word.</param>
    public FakeMonitor(string? greeting, bool closes)
    {
        _listener.Bind(new UnixDomainSocketEndPoint(SocketPath));
        _listener.Listen();
        _serving = ServeAsync(greeting is null ? [] : Encoding.UTF8.GetBytes(greeting), closes);
    }

    public string SocketPath => Path.Combine(_folder, "qmp");

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _listener.Dispose();
        _stop.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    private async Task ServeAsync(byte[] greeting, bool closes)
    {
        List<Socket> open = [];
        try
        {
            while (true)
            {
                var client = await _listener.AcceptAsync(_stop.Token);
                open.Add(client);
                try
                {
                    await client.SendAsync(greeting, SocketFlags.None, _stop.Token);
                }
                catch (SocketException)
                {
                    // The client has had enough.
                }

                if (closes)
                    client.Close();
            }
        }
        finally
        {
            open.ForEach(client => client.Dispose());
        }
    }
}
