using DistMigrate.Contracts;
using Orleans.Storage;

namespace DistMigrate.Grains;

/// <summary>
/// Writes of grain state. That grain storage does not answer has a reason of its own, so that who needs it waits for it instead of taking its absence
/// for a fault of a migration. That another activation has written since is told as Orleans tells it.
/// </summary>
internal static class RememberedState
{
    /// <summary>Writes the state.</summary>
    /// <exception cref="MigrationException">Grain storage does not answer or takes nothing.</exception>
    /// <exception cref="InconsistentStateException">Another activation has written since.</exception>
    public static async Task RememberAsync<T>(this IPersistentState<T> state)
    {
        try
        {
            await state.WriteStateAsync();
        }
        catch (OrleansException e) when (e is not InconsistentStateException)
        {
            // Orleans has logged it with its cause.
            throw new MigrationException(FailureReason.StateUnavailable,
                "The cluster's grain storage does not answer or takes nothing, so nothing can be decided that has to be remembered; what is written goes on. "
                + "Look at Redis, or at the disk of the silo's state folder.");
        }
    }
}
