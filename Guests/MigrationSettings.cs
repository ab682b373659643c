using System.Text.Json;
using System.Text.Json.Nodes;
using DistMigrate.MappedRam;

namespace DistMigrate.Guests;

/// <summary>
/// QEMU's migration capabilities and parameters as one kind of migration of ours needs them. They belong to whoever manages the
/// guest, so each one that is changed is put back.
/// </summary>
/// <param name="qmp">The guest's monitor.</param>
/// <param name="capabilities">The capabilities that are on, beside <c>events</c>; every other one is off.</param>
/// <param name="parameters">The parameters that it needs beside those of every migration of ours.</param>
internal sealed class MigrationSettings(QmpClient qmp, IReadOnlyList<string> capabilities, JsonObject parameters)
{
    private readonly Dictionary<string, JsonNode> _wanted =
        parameters.Append(new("tls-creds", "")).Append(new("mode", "normal")).ToDictionary(p => p.Key, p => p.Value!);

    /// <summary>The settings of <see cref="DeviceStateMethod.IgnoreShared"/>.</summary>
    public static MigrationSettings ForDeviceState(QmpClient qmp) =>
        // No bandwidth limit: the guest stands still.
        new(qmp, [StreamFormat.IgnoreSharedCapability], new JsonObject { ["max-bandwidth"] = 0 });

    /// <summary>What <see cref="TryApplyAsync"/> would change now.</summary>
    /// <exception cref="GuestException">QEMU did not answer, or in a way that is not known.</exception>
    public async Task<MigrationSettingsSnapshot> ReadAsync(CancellationToken cancellationToken) => (await TryReadAsync(cancellationToken)).Before;

    /// <summary>Sets everything.</summary>
    /// <returns>What was changed, as it was before; null when QEMU lacks one of the capabilities, and then nothing is changed.</returns>
    /// <exception cref="GuestException">CommandFailed: QEMU refused; what was changed is put back.</exception>
    public async Task<MigrationSettingsSnapshot?> TryApplyAsync(CancellationToken cancellationToken)
    {
        var (before, isKnown) = await TryReadAsync(cancellationToken);
        if (!isKnown)
            return null;
        try
        {
            await SetCapabilitiesAsync(qmp, before.Capabilities.Select(c => (c.Key, !c.Value)), cancellationToken);
            await SetParametersAsync(before.Parameters.Keys.Select(name => (name, _wanted[name].DeepClone())), cancellationToken);
        }
        catch (Exception e) when (e is GuestException or OperationCanceledException)
        {
            await RestoreAfterAsync(before, e);
            throw;
        }

        return before;
    }

    /// <summary>Puts back what <see cref="TryApplyAsync"/> changed. Not cancellable: it is what leaves the guest as it was.</summary>
    /// <exception cref="GuestException">QEMU refused, or is gone.</exception>
    public async Task RestoreAsync(MigrationSettingsSnapshot before)
    {
        await SetParametersAsync(before.Parameters.Select(p => (p.Key, JsonNode.Parse(p.Value.GetRawText())!)), CancellationToken.None);
        await SetCapabilitiesAsync(qmp, before.Capabilities.Select(c => (c.Key, c.Value)), CancellationToken.None);
        if (before.Capabilities.ContainsKey(DirtyLimit.Capability))
            await DirtyLimit.LiftAsync(qmp);
    }

    /// <summary>Puts back what nobody has changed since: a setting that is no longer ours is another's by now.</summary>
    /// <exception cref="GuestException">QEMU refused, or is gone.</exception>
    public async Task RestoreWhatIsOursAsync(MigrationSettingsSnapshot before, CancellationToken cancellationToken)
    {
        // A capability is on or off: one that is not as it was before is as we had set it.
        var others = await ReadAsync(cancellationToken);
        await RestoreAsync(new MigrationSettingsSnapshot(
            before.Capabilities.Where(c => others.Capabilities.GetValueOrDefault(c.Key, IsWanted(c.Key)) != c.Value).ToDictionary(),
            before.Parameters.ExceptBy(others.Parameters.Keys, p => p.Key).ToDictionary()));
    }

    /// <summary>Puts everything back after a failure, which stays the one that is told; a failure of this is noted in its data.</summary>
    public async Task RestoreAfterAsync(MigrationSettingsSnapshot before, Exception failure)
    {
        try
        {
            await RestoreAsync(before);
        }
        catch (GuestException e)
        {
            failure.Data["migration settings not restored"] = e.Message;
        }
    }

    private bool IsWanted(string capability) => capability == "events" || capabilities.Contains(capability);

    private async Task<(MigrationSettingsSnapshot Before, bool IsKnown)> TryReadAsync(CancellationToken cancellationToken)
    {
        var missing = capabilities.ToHashSet();
        var states = new Dictionary<string, bool>();
        foreach (var item in (await qmp.ExecuteAsync("query-migrate-capabilities", null, null, cancellationToken)).Items())
        {
            var name = item.RequiredText("capability");
            var state = item.RequiredFlag("state");
            missing.Remove(name);
            if (state != IsWanted(name))
                states[name] = state;
        }

        var reply = await qmp.ExecuteAsync("query-migrate-parameters", null, null, cancellationToken);
        var values = new Dictionary<string, JsonElement>();
        foreach (var (name, wanted) in _wanted)
        {
            // A parameter that this QEMU does not know has no other value than the wanted one to undo.
            if (reply.TryGetProperty(name, out var value) && !JsonNode.DeepEquals(JsonNode.Parse(value.GetRawText()), wanted))
                values[name] = value;
        }

        return (new MigrationSettingsSnapshot(states, values), missing.Count == 0);
    }

    // What is on may exclude what is to be on, so off comes first.
    /// <summary>Sets capabilities: first those that go, since some exclude others.</summary>
    public static async Task SetCapabilitiesAsync(QmpClient qmp, IEnumerable<(string Name, bool State)> states, CancellationToken cancellationToken)
    {
        foreach (var group in states.GroupBy(s => s.State).OrderBy(g => g.Key))
        {
            var list = new JsonArray([.. group.Select(s => new JsonObject { ["capability"] = s.Name, ["state"] = s.State })]);
            await qmp.ExecuteAsync("migrate-set-capabilities", new JsonObject { ["capabilities"] = list }, null, cancellationToken);
        }
    }

    private async Task SetParametersAsync(IEnumerable<(string Name, JsonNode Value)> values, CancellationToken cancellationToken)
    {
        var arguments = new JsonObject(values.Select(v => KeyValuePair.Create(v.Name, (JsonNode?)v.Value)));
        if (arguments.Count > 0)
            await qmp.ExecuteAsync("migrate-set-parameters", arguments, null, cancellationToken);
    }
}
