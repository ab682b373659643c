using System.Net;
using System.Net.Sockets;
using DistMigrate.Silo;

namespace DistMigrate.Tests.Unit.Silo;

/// <summary>Silos that start at the same time take different ports.</summary>
public sealed class FreePortTests
{
    [Fact]
    public void Nobody_else_chooses_a_port_before_its_owner_listens()
    {
        var port = FreePort.Choose();
        Assert.Null(FreePort.TryTake(port.Number));
        port.Dispose();
        using var next = FreePort.TryTake(port.Number);
        Assert.NotNull(next);
    }

    [Fact]
    public void Its_owner_listens_while_it_is_held()
    {
        using var port = FreePort.Choose();
        using var listener = new TcpListener(IPAddress.Loopback, port.Number);
        listener.Start();
        using var client = new TcpClient();
        client.Connect(IPAddress.Loopback, port.Number);
        Assert.True(client.Connected);
    }

    [Fact]
    public void A_port_at_which_somebody_listens_is_not_free()
    {
        using var port = FreePort.Choose();
        using var listener = new TcpListener(IPAddress.Loopback, port.Number);
        listener.Start();
        port.Dispose();
        Assert.Null(FreePort.TryTake(port.Number));
    }
}
