namespace DistMigrate.MappedRam;

/// <summary>An image can't be read because it breaks a rule of the format.</summary>
public sealed class ImageFormatException : FormatException
{
    internal ImageFormatException(long offset, ImageRule rule, string message)
        : this(new ImageViolation(offset, rule, message))
    {
    }

    internal ImageFormatException(ImageViolation violation)
        : base($"Not a usable mapped-ram image at {violation}.") => Violation = violation;

    /// <summary>Where, in bytes from the start of the file.</summary>
    public long Offset => Violation.Offset;

    /// <summary>Which rule.</summary>
    public ImageRule Rule => Violation.Rule;

    /// <summary>The malformation.</summary>
    public ImageViolation Violation { get; }
}
