namespace DistMigrate.Bench;

/// <summary>How long one save took.</summary>
/// <param name="AsShipped">Until it says that it is done.</param>
/// <param name="Synced">Until its bytes are durable as well.</param>
/// <param name="Command">For the product: the wall time of the command around it.</param>
/// <param name="Bytes">Bytes of pages written.</param>
internal sealed record SaveTimes(TimeSpan AsShipped, TimeSpan Synced, TimeSpan? Command, long Bytes);
