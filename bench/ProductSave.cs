namespace DistMigrate.Bench;

/// <summary>One save by the product.</summary>
/// <param name="InSilo">From its start to its end, as its status has them.</param>
/// <param name="Queued">From its submission to its start.</param>
/// <param name="Downtime">How long the guest was stopped for it.</param>
/// <param name="Wall">From the start of the command to its end.</param>
/// <param name="PageBytes">Bytes of pages that are not zero.</param>
/// <param name="Transferred">Bytes written in all.</param>
internal sealed record ProductSave(TimeSpan InSilo, TimeSpan Queued, TimeSpan Downtime, TimeSpan Wall, long PageBytes, long Transferred);
