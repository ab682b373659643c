namespace DistMigrate.MappedRam;

/// <summary>How a section of the stream relates to its entry; the values are the type bytes of the format.</summary>
public enum SectionKind
{
    /// <summary>Not a section.</summary>
    None = 0,

    /// <summary>The first section of an iterable entry.</summary>
    Start = StreamFormat.SectionStart,

    /// <summary>A further section of an iterable entry.</summary>
    Part = StreamFormat.SectionPart,

    /// <summary>The last section of an iterable entry.</summary>
    End = StreamFormat.SectionEnd,

    /// <summary>The whole state of a device.</summary>
    Full = StreamFormat.SectionFull,
}
