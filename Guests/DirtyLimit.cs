using System.Text.Json;

namespace DistMigrate.Guests;

/// <summary>QEMU's limit of how fast each CPU dirties memory, which a migration sets while it does not converge.</summary>
internal static class DirtyLimit
{
    public const string Capability = "dirty-limit";

    /// <summary>Whether QEMU can, and nobody has it do so already. That it can, with KVM and a dirty ring, is told only by trying.</summary>
    public static async Task<bool> IsPossibleAsync(QmpClient qmp, CancellationToken cancellationToken)
    {
        try
        {
            var limits = await qmp.ExecuteAsync("query-vcpu-dirty-limit", null, null, cancellationToken);
            if (limits.GetArrayLength() > 0)
                return false;
            await MigrationSettings.SetCapabilitiesAsync(qmp, [(Capability, true)], cancellationToken);
        }
        catch (GuestException e) when (e.Fault == GuestFault.CommandFailed)
        {
            return false;
        }

        await MigrationSettings.SetCapabilitiesAsync(qmp, [(Capability, false)], CancellationToken.None);
        return true;
    }

    /// <summary>Lifts it: QEMU itself does so only for a migration that is cancelled.</summary>
    public static Task LiftAsync(QmpClient qmp) => qmp.ExecuteAsync("cancel-vcpu-dirty-limit", null, null, CancellationToken.None);

    /// <summary>How much of its time the slowest CPU was held back, as <c>query-migrate</c> tells it: for so long each time it had filled its dirty ring.</summary>
    public static int PercentOf(JsonElement migration)
    {
        if (!migration.TryGetProperty("dirty-limit-throttle-time-per-round", out _) || !migration.TryGetProperty("dirty-limit-ring-full-time", out _))
            return 0;
        var (held, ran) = (migration.RequiredNumber("dirty-limit-throttle-time-per-round"), migration.RequiredNumber("dirty-limit-ring-full-time"));
        return held + ran > 0 ? (int)(100 * held / (held + ran)) : 0;
    }
}
