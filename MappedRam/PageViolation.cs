namespace DistMigrate.MappedRam;

/// <summary>A page that is not what the checksums of its image say.</summary>
/// <param name="Offset">Where it stands, in bytes from the start of the file.</param>
/// <param name="Block">Its RAMBlock's name.</param>
/// <param name="Page">Its number in the RAMBlock.</param>
/// <param name="Message">What is there and what should be.</param>
public sealed record PageViolation(long Offset, string Block, long Page, string Message)
{
    /// <summary>The violation as one line.</summary>
    public override string ToString() => $"0x{Offset:x}: page {Page} of RAMBlock {Block}: {Message}";
}
