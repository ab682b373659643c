using System.Text.Json.Nodes;

namespace DistMigrate.Guests;

/// <summary>
/// QEMU's migration capabilities and parameters for one migration of ours, and what they were before: they belong to whoever
/// manages the guest, so each one that is changed is put back.
/// </summary>
internal sealed class MigrationSettings
{
    private readonly QmpClient _qmp;
    private readonly JsonArray _capabilitiesBefore = [];
    private readonly JsonObject _parametersBefore = [];

    private MigrationSettings(QmpClient qmp) => _qmp = qmp;

    /// <summary>Turns on the named capabilities, with <c>events</c>, and every other one off; sets parameters.</summary>
    /// <exception cref="GuestException">CommandFailed: QEMU refused; what was changed is put back.</exception>
    public static async Task<MigrationSettings> ApplyAsync(
        QmpClient qmp, IReadOnlyList<string> capabilities, JsonObject parameters, CancellationToken cancellationToken)
    {
        var settings = new MigrationSettings(qmp);
        var on = new JsonArray();
        var off = new JsonArray();
        foreach (var item in (await qmp.ExecuteAsync("query-migrate-capabilities", null, null, cancellationToken)).Items())
        {
            var name = item.RequiredText("capability");
            var state = item.RequiredFlag("state");
            var wanted = name == "events" || capabilities.Contains(name);
            if (state == wanted)
                continue;
            (wanted ? on : off).Add((JsonNode)Capability(name, wanted));
            settings._capabilitiesBefore.Add((JsonNode)Capability(name, state));
        }

        var before = await qmp.ExecuteAsync("query-migrate-parameters", null, null, cancellationToken);
        var changes = new JsonObject();
        foreach (var (name, value) in parameters.Append(new("tls-creds", "")).Append(new("mode", "normal")))
        {
            // A parameter that this QEMU does not know has no other value than the wanted one to undo.
            if (!before.TryGetProperty(name, out var old) || JsonNode.DeepEquals(JsonNode.Parse(old.GetRawText()), value))
                continue;
            changes[name] = value!.DeepClone();
            settings._parametersBefore[name] = JsonNode.Parse(old.GetRawText());
        }

        try
        {
            // What is on may exclude what is to be on, so off comes first.
            await settings.SetAsync(off, cancellationToken);
            await settings.SetAsync(on, cancellationToken);
            if (changes.Count > 0)
                await qmp.ExecuteAsync("migrate-set-parameters", changes, null, cancellationToken);
        }
        catch (Exception e) when (e is GuestException or OperationCanceledException)
        {
            await settings.RestoreAfterAsync(e);
            throw;
        }

        return settings;
    }

    /// <summary>Whether QEMU has a capability.</summary>
    public static async Task<bool> HasCapabilityAsync(QmpClient qmp, string name, CancellationToken cancellationToken) =>
        (await qmp.ExecuteAsync("query-migrate-capabilities", null, null, cancellationToken)).Items()
            .Any(item => item.Text("capability") == name);

    /// <summary>Puts everything back. Not cancellable: it is what leaves the guest as it was.</summary>
    /// <exception cref="GuestException">QEMU refused, or is gone.</exception>
    public async Task RestoreAsync()
    {
        if (_parametersBefore.Count > 0)
            await _qmp.ExecuteAsync("migrate-set-parameters", _parametersBefore, null, CancellationToken.None);
        var off = _capabilitiesBefore.Where(c => !c!["state"]!.GetValue<bool>()).Select(c => c!.DeepClone()).ToArray();
        var on = _capabilitiesBefore.Where(c => c!["state"]!.GetValue<bool>()).Select(c => c!.DeepClone()).ToArray();
        await SetAsync(new JsonArray(off), CancellationToken.None);
        await SetAsync(new JsonArray(on), CancellationToken.None);
    }

    /// <summary>Puts everything back after a failure, which stays the one that is told; a failure of this is noted in its data.</summary>
    public async Task RestoreAfterAsync(Exception failure)
    {
        try
        {
            await RestoreAsync();
        }
        catch (GuestException e)
        {
            failure.Data["migration settings not restored"] = e.Message;
        }
    }

    private async Task SetAsync(JsonArray capabilities, CancellationToken cancellationToken)
    {
        if (capabilities.Count > 0)
            await _qmp.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = capabilities }, null, cancellationToken);
    }

    private static JsonObject Capability(string name, bool state) => new() { ["capability"] = name, ["state"] = state };
}
