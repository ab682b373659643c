namespace DistMigrate.MappedRam;

/// <summary>The structure of a mapped-ram image, read from a file that QEMU or this project wrote.</summary>
public sealed class MappedRamImage
{
    internal MappedRamImage()
    {
    }

    /// <summary>The machine type's name.</summary>
    public required string MachineName { get; init; }

    /// <summary>The capabilities that the stream names: mapped-ram.</summary>
    public required IReadOnlyList<string> Capabilities { get; init; }

    /// <summary>The RAMBlocks in the order of the stream.</summary>
    public required IReadOnlyList<MappedRamBlock> Blocks { get; init; }

    /// <summary>The sections of the RAM and of the devices in the order of the stream; of the many PARTs that an entry may have, the first.</summary>
    public required IReadOnlyList<StreamSection> Sections { get; init; }

    /// <summary>The EOS of the ram SECTION_START, directly behind the last RAMBlock's pages.</summary>
    public required long TailOffset { get; init; }

    /// <summary>The EOF byte.</summary>
    public required long EofOffset { get; init; }

    /// <summary>Whether a vmdescription follows the EOF byte.</summary>
    public bool HasVmDescription => VmDescriptionOffset != 0;

    /// <summary>Where the vmdescription's JSON stands; 0 when there is none.</summary>
    public required long VmDescriptionOffset { get; init; }

    /// <summary>The length of the vmdescription's JSON in bytes.</summary>
    public required long VmDescriptionLength { get; init; }

    /// <summary>Reads the structure; pages and device payloads stay in the file.</summary>
    /// <param name="input">The image; it stays open.</param>
    /// <exception cref="ImageFormatException">At the first malformation.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    public static MappedRamImage Read(IImageInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        ImageViolation? first = null;
        return new ImageReader(input, violation => throw new ImageFormatException(first ??= violation)).Read();
    }
}
