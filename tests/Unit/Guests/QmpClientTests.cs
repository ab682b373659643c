using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using DistMigrate.Guests;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class QmpClientTests
{
    private const string Greeting = """{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}, "capabilities": []}}""";

    [Fact]
    public async Task Replies_are_matched_by_id_in_any_order()
    {
        await using var monitor = new Monitor();
        await using var qmp = await monitor.ConnectAsync();
        var first = qmp.ExecuteAsync("a", null, null, CancellationToken.None);
        var firstId = await monitor.CommandAsync("a");
        var second = qmp.ExecuteAsync("b", null, null, CancellationToken.None);
        var secondId = await monitor.CommandAsync("b");
        await monitor.SayAsync($$"""{"return": "to b", "id": {{secondId}}}""");
        await monitor.SayAsync($$"""{"return": "to a", "id": {{firstId}}}""");
        Assert.Equal("to a", (await first).GetString());
        Assert.Equal("to b", (await second).GetString());
        Assert.Equal("10.0.2", qmp.QemuVersion);
        Assert.Equal(Environment.ProcessId, qmp.PeerPid);
    }

    [Fact]
    public async Task A_refused_command_tells_class_and_words()
    {
        await using var monitor = new Monitor();
        await using var qmp = await monitor.ConnectAsync();
        var command = qmp.ExecuteAsync("cont", null, null, CancellationToken.None);
        await monitor.SayAsync($$"""{"error": {"class": "GenericError", "desc": "disk is locked"}, "id": {{await monitor.CommandAsync("cont")}}}""");
        var e = await Assert.ThrowsAsync<GuestException>(() => command);
        Assert.Equal((GuestFault.CommandFailed, "GenericError"), (e.Fault, e.QmpClass));
        Assert.Contains("disk is locked", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task An_event_before_the_reply_is_kept_for_who_subscribed_before_the_command()
    {
        await using var monitor = new Monitor();
        await using var qmp = await monitor.ConnectAsync();
        using var events = qmp.Subscribe();
        var command = qmp.ExecuteAsync("migrate", new JsonObject { ["uri"] = "fd:x" }, null, CancellationToken.None);
        var id = await monitor.CommandAsync("migrate");
        await monitor.SayAsync("""{"event": "MIGRATION", "data": {"status": "completed"}}""");
        await monitor.SayAsync($$"""{"return": {}, "id": {{id}}}""");
        await command;
        var got = await events.WaitAsync(e => e.Name == "MIGRATION", TimeSpan.FromSeconds(10), CancellationToken.None);
        Assert.Equal("completed", got.Text("status"));
    }

    [Fact]
    public async Task The_end_of_the_connection_fails_what_is_pending_and_what_comes_later()
    {
        await using var monitor = new Monitor();
        await using var qmp = await monitor.ConnectAsync();
        using var events = qmp.Subscribe();
        var command = qmp.ExecuteAsync("stop", null, null, CancellationToken.None);
        var waiting = events.WaitAsync(_ => true, TimeSpan.FromSeconds(10), CancellationToken.None);
        await monitor.CommandAsync("stop");
        monitor.Close();
        Assert.Equal(GuestFault.Exited, (await Assert.ThrowsAsync<GuestException>(() => command)).Fault);
        Assert.Equal(GuestFault.Exited, (await Assert.ThrowsAsync<GuestException>(() => waiting)).Fault);
        Assert.Equal(GuestFault.Exited, (await Assert.ThrowsAsync<GuestException>(() => qmp.ExecuteAsync("cont", null, null, CancellationToken.None))).Fault);
        Assert.Equal(GuestFault.Exited, Assert.Throws<GuestException>(() => { qmp.Subscribe(); }).Fault);
    }

    [Fact]
    public async Task A_command_without_reply_times_out_and_its_late_reply_disturbs_nobody()
    {
        var time = new FakeTimeProvider();
        await using var monitor = new Monitor();
        await using var qmp = await monitor.ConnectAsync(time);
        var late = qmp.ExecuteAsync("stop", null, null, CancellationToken.None);
        var lateId = await monitor.CommandAsync("stop");
        time.Advance(QmpClient.DefaultTimeout);
        Assert.Equal(GuestFault.TimedOut, (await Assert.ThrowsAsync<GuestException>(() => late)).Fault);
        var next = qmp.ExecuteAsync("query-status", null, null, CancellationToken.None);
        var nextId = await monitor.CommandAsync("query-status");
        await monitor.SayAsync($$"""{"return": "late", "id": {{lateId}}}""");
        await monitor.SayAsync($$"""{"return": "now", "id": {{nextId}}}""");
        Assert.Equal("now", (await next).GetString());
    }

    [Fact]
    public async Task A_monitor_that_does_not_greet_is_told_as_held_by_another_client()
    {
        var time = new FakeTimeProvider();
        await using var monitor = new Monitor();
        var connecting = QmpClient.ConnectAsync(monitor.Path, time, CancellationToken.None);
        await monitor.AcceptAsync();

        // The limit starts at an unknown moment after the connection, so time passes until it has struck.
        while (!connecting.IsCompleted)
        {
            time.Advance(TimeSpan.FromSeconds(3));
            await Task.Yield();
        }

        var e = await Assert.ThrowsAsync<GuestException>(() => connecting);
        Assert.Equal(GuestFault.NotQmp, e.Fault);
        Assert.Contains("one client at a time", e.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("QEMU 10.0.2 monitor - type 'help' for more information")]
    [InlineData("{\"hello\": 1}")]
    [InlineData("[]")]
    [InlineData("{\"QMP\": {\"version\": {\"qemu\": {\"major\": \"ten\"}}}}")]
    public async Task Another_greeting_is_not_QMP(string greeting)
    {
        await using var monitor = new Monitor();
        var connecting = QmpClient.ConnectAsync(monitor.Path, TimeProvider.System, CancellationToken.None);
        await monitor.AcceptAsync();
        await monitor.SayAsync(greeting);
        Assert.Equal(GuestFault.NotQmp, (await Assert.ThrowsAsync<GuestException>(() => connecting)).Fault);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{\"QMP\": ")]
    public async Task A_listener_that_closes_before_its_greeting_is_whole_is_not_QMP(string said)
    {
        await using var monitor = new Monitor();
        var connecting = QmpClient.ConnectAsync(monitor.Path, TimeProvider.System, CancellationToken.None);
        await monitor.AcceptAsync();
        if (said.Length > 0)
            await monitor.SayAsync(said);
        monitor.Close();
        var e = await Assert.ThrowsAsync<GuestException>(() => connecting);
        Assert.Equal(GuestFault.NotQmp, e.Fault);
        Assert.Contains(monitor.Path, e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_listener_that_closes_after_its_greeting_has_exited()
    {
        await using var monitor = new Monitor();
        var connecting = QmpClient.ConnectAsync(monitor.Path, TimeProvider.System, CancellationToken.None);
        await monitor.AcceptAsync();
        await monitor.SayAsync(Greeting);
        await monitor.CommandAsync("qmp_capabilities");
        monitor.Close();
        Assert.Equal(GuestFault.Exited, (await Assert.ThrowsAsync<GuestException>(() => connecting)).Fault);
    }

    [Fact]
    public async Task A_socket_that_is_not_there_is_unreachable()
    {
        var path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"{Guid.NewGuid():N}.sock");
        var e = await Assert.ThrowsAsync<GuestException>(() => QmpClient.ConnectAsync(path, TimeProvider.System, CancellationToken.None));
        Assert.Equal(GuestFault.Unreachable, e.Fault);
        Assert.Contains(path, e.Message, StringComparison.Ordinal);
    }

    /// <summary>The server's side of a QMP connection.</summary>
    private sealed class Monitor : IAsyncDisposable
    {
        private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        private Socket? _client;
        private StreamReader? _lines;

        public Monitor()
        {
            _listener.Bind(new UnixDomainSocketEndPoint(Path));
            _listener.Listen(1);
        }

        public string Path { get; } = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"{Guid.NewGuid():N}.sock");

        public async Task<QmpClient> ConnectAsync(TimeProvider? time = null)
        {
            var connecting = QmpClient.ConnectAsync(Path, time ?? TimeProvider.System, CancellationToken.None);
            await AcceptAsync();
            await SayAsync(Greeting);
            await SayAsync($$"""{"return": {}, "id": {{await CommandAsync("qmp_capabilities")}}}""");
            return await connecting;
        }

        public async Task AcceptAsync()
        {
            _client = await _listener.AcceptAsync();
            _lines = new StreamReader(new NetworkStream(_client));
        }

        public async Task SayAsync(string line) => await _client!.SendAsync(Encoding.UTF8.GetBytes(line + "\r\n"));

        public async Task<long> CommandAsync(string command)
        {
            var message = JsonNode.Parse((await _lines!.ReadLineAsync())!)!;
            Assert.Equal(command, message["execute"]!.GetValue<string>());
            return message["id"]!.GetValue<long>();
        }

        public void Close() => _client!.Dispose();

        public ValueTask DisposeAsync()
        {
            _client?.Dispose();
            _listener.Dispose();
            File.Delete(Path);
            return ValueTask.CompletedTask;
        }
    }
}
