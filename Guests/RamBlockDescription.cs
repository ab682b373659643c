namespace DistMigrate.Guests;

/// <summary>A RAMBlock as an image's manifest names it.</summary>
/// <param name="Name">Its id in the stream.</param>
/// <param name="UsedLength">Bytes in use.</param>
/// <param name="MaxLength">Bytes it may grow to.</param>
public sealed record RamBlockDescription(string Name, long UsedLength, long MaxLength);
