using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Text;
using System.Text.Json.Nodes;
using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

/// <summary>A monitor that answers as QEMU does what is asked about a stopped guest and its migration settings, and notes every command.</summary>
internal sealed class FakeQemu : IAsyncDisposable
{
    private readonly Socket _listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
    private readonly string _path = Path.Combine(Path.GetTempPath(), $"{Guid.NewGuid():N}.sock");
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _serving;

    public FakeQemu()
    {
        _listener.Bind(new UnixDomainSocketEndPoint(_path));
        _listener.Listen();
        _serving = ServeAsync();
    }

    /// <summary>Its migration capabilities, as a guest's manager has set them.</summary>
    public ConcurrentDictionary<string, bool> Capabilities { get; } = new() { ["events"] = false, ["x-ignore-shared"] = false, ["auto-converge"] = true, ["xbzrle"] = false };

    /// <summary>Whether it runs with KVM and a dirty ring, which the capability dirty-limit takes.</summary>
    public bool HasDirtyRing { get; set; }

    /// <summary>What <c>query-vcpu-dirty-limit</c> gives; null where QEMU does not know it.</summary>
    public string? DirtyLimits { get; set; }

    /// <summary>Its migration parameters, as a guest's manager has set them.</summary>
    public ConcurrentDictionary<string, string> Parameters { get; } = new() { ["max-bandwidth"] = "134217728", ["tls-creds"] = "\"\"", ["downtime-limit"] = "300" };

    /// <summary>What <c>query-migrate</c> gives, one after the other; the last one for ever.</summary>
    public ConcurrentQueue<string> MigrationStatuses { get; } = new(["none"]);

    /// <summary>The name of every command so far.</summary>
    public ConcurrentQueue<string> Commands { get; } = [];

    /// <summary>All settings as one text.</summary>
    public string Settings => string.Join(' ',
        Capabilities.OrderBy(c => c.Key, StringComparer.Ordinal).Select(c => $"{c.Key}={c.Value}").Concat(Parameters.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => $"{p.Key}={p.Value}")));

    public Task<QemuGuest> ConnectAsync(TimeProvider? time = null) => QemuGuest.ConnectAsync("vm1", _path, time ?? TimeProvider.System, CancellationToken.None);

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _serving.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        _listener.Dispose();
        _stop.Dispose();
        File.Delete(_path);
    }

    private async Task ServeAsync()
    {
        while (true)
        {
            using var client = await _listener.AcceptAsync(_stop.Token);
            await using var stream = new NetworkStream(client);
            using var lines = new StreamReader(stream);
            await stream.WriteAsync(Encoding.UTF8.GetBytes("""{"QMP": {"version": {"qemu": {"micro": 2, "minor": 0, "major": 10}}, "capabilities": []}}""" + "\n"), _stop.Token);
            while (await lines.ReadLineAsync(_stop.Token) is { } line)
            {
                var message = JsonNode.Parse(line)!;
                var command = message["execute"]!.GetValue<string>();
                Commands.Enqueue(command);
                var (kind, value) = Answer(command, message["arguments"]);
                var reply = new JsonObject { [kind] = value, ["id"] = message["id"]!.DeepClone() };
                await stream.WriteAsync(Encoding.UTF8.GetBytes(reply.ToJsonString() + "\n"), _stop.Token);
            }
        }
    }

    private (string Kind, JsonNode Value) Answer(string command, JsonNode? arguments)
    {
        switch (command)
        {
            case "query-status":
                return ("return", new JsonObject { ["running"] = false, ["status"] = "paused" });
            case "query-migrate":
                return ("return", new JsonObject { ["status"] = MigrationStatuses.Count > 1 && MigrationStatuses.TryDequeue(out var status) ? status : MigrationStatuses.First() });
            case "query-migrate-capabilities":
                return ("return", new JsonArray([.. Capabilities.Select(c => new JsonObject { ["capability"] = c.Key, ["state"] = c.Value })]));
            case "query-migrate-parameters":
                return ("return", new JsonObject(Parameters.Select(p => KeyValuePair.Create(p.Key, JsonNode.Parse(p.Value)))));
            case "query-vcpu-dirty-limit" when DirtyLimits is { } limits:
                return ("return", JsonNode.Parse(limits)!);
            case "cancel-vcpu-dirty-limit":
                DirtyLimits = "[]";
                return ("return", new JsonObject());
            case "migrate-set-capabilities" when !HasDirtyRing && arguments!["capabilities"]!.AsArray().Any(item => item!["capability"]!.GetValue<string>() == "dirty-limit" && item["state"]!.GetValue<bool>()):
                return ("error", new JsonObject { ["class"] = "GenericError", ["desc"] = "dirty-limit requires KVM with accelerator property 'dirty-ring-size' set" });
            case "migrate-set-capabilities":
                foreach (var item in arguments!["capabilities"]!.AsArray())
                    Capabilities[item!["capability"]!.GetValue<string>()] = item["state"]!.GetValue<bool>();
                return ("return", new JsonObject());
            case "migrate-set-parameters":
                foreach (var (name, value) in arguments!.AsObject())
                    Parameters[name] = value!.ToJsonString();
                return ("return", new JsonObject());
            case "qmp_capabilities" or "stop":
                return ("return", new JsonObject());
            default:
                return ("error", new JsonObject { ["class"] = "GenericError", ["desc"] = $"{command} is refused" });
        }
    }
}
