namespace DistMigrate.MappedRam;

/// <summary>A place where an image breaks a rule.</summary>
/// <param name="Offset">Where, in bytes from the start of the file: the field that is wrong, or where something is missing.</param>
/// <param name="Rule">Which rule.</param>
/// <param name="Message">What is there and what should be.</param>
public sealed record ImageViolation(long Offset, ImageRule Rule, string Message)
{
    /// <summary>The violation as one line.</summary>
    public override string ToString() => $"0x{Offset:x}: {Message} ({Rule})";
}
