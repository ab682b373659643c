namespace DistMigrate.MappedRam;

/// <summary>Reads what stands before the sections: magic, version and the configuration, which names machine type and capabilities.</summary>
internal sealed class PreambleReader(ImageCursor cursor, SectionBoundary boundary, Action<long, ImageRule, string> report)
{
    /// <summary>QEMU 10 has 24 capabilities.</summary>
    private const uint MaxCapabilities = 64;

    private readonly List<string> _capabilities = [];

    public string MachineName { get; private set; } = "";

    public IReadOnlyList<string> Capabilities => _capabilities;

    /// <summary>Reads it; afterwards the cursor stands on the first section, or on the ram section if there was no other way on.</summary>
    /// <exception cref="ImageFormatException">This is no migration stream, or its ram section can't be found.</exception>
    public void Read()
    {
        ReadFileHeader();
        ReadConfiguration();
    }

    private void ReadFileHeader()
    {
        var magic = cursor.U32("the magic");
        var version = cursor.U32("the version of the stream");
        if (magic != StreamFormat.FileMagic)
        {
            var message = $"the magic is 0x{magic:x8}, not \"QEVM\": this is no migration stream";
            if (version != StreamFormat.FileVersion)
            {
                throw new ImageFormatException(0, ImageRule.Magic, message);
            }

            report(0, ImageRule.Magic, message);
        }

        if (version != StreamFormat.FileVersion)
        {
            report(sizeof(uint), ImageRule.StreamVersion, $"the stream has version {version}, not {StreamFormat.FileVersion}");
        }
    }

    private void ReadConfiguration()
    {
        var start = cursor.Position;
        if (cursor.PeekByte(start) != StreamFormat.Configuration)
        {
            report(start, ImageRule.Configuration, "the configuration section is missing");
            if (!boundary.IsPlausible(start))
            {
                SkipToRam(start);
            }

            return;
        }

        try
        {
            cursor.Position++;
            ReadMachineName();
            while (cursor.PeekByte(cursor.Position) == StreamFormat.Subsection)
            {
                ReadSubsection();
            }
        }
        catch (ImageFormatException e)
        {
            report(e.Offset, e.Rule, e.Violation.Message);
            SkipToRam(start);
        }

        if (!_capabilities.Contains(StreamFormat.MappedRamCapability, StringComparer.Ordinal))
        {
            report(start, ImageRule.Capabilities, "the configuration doesn't name the capability mapped-ram");
        }
    }

    private void ReadMachineName()
    {
        var field = cursor.Position;
        var length = cursor.U32("the length of the machine name");
        if (length is 0 or > StreamFormat.MaxMachineNameLength)
        {
            throw new ImageFormatException(field, ImageRule.MachineName, $"a machine name of {length} bytes, not 1 to 255");
        }

        if (!StreamName.TryDecode(cursor.Take((int)length, "the machine name"), out var name))
        {
            report(field, ImageRule.MachineName, $"the machine name \"{name}\" isn't text");
        }

        MachineName = name;
    }

    private void ReadSubsection()
    {
        var start = cursor.Position++;
        var name = ReadName("a subsection of the configuration");
        var version = cursor.U32($"the version of {name}");
        if (version != StreamFormat.SubsectionVersion)
        {
            report(start, ImageRule.Subsection, $"{name} has version {version}, not {StreamFormat.SubsectionVersion}");
        }

        switch (name)
        {
            case StreamFormat.CapabilitiesSubsection:
                ReadCapabilities();
                break;
            case StreamFormat.TargetPageBitsSubsection:
                var bits = cursor.U32("the number of page bits");
                if (bits != Page.Shift)
                {
                    report(start, ImageRule.Subsection, $"the guest has pages of 2^{bits} bytes, not 2^{Page.Shift}");
                }

                break;
            case StreamFormat.UuidSubsection:
                cursor.Take(16, "the guest's UUID");
                break;
            default:
                throw new ImageFormatException(start, ImageRule.Subsection, $"the subsection \"{name}\" of the configuration is unknown");
        }
    }

    private void ReadCapabilities()
    {
        var field = cursor.Position;
        var count = cursor.U32("the number of capabilities");
        if (count > MaxCapabilities)
        {
            throw new ImageFormatException(field, ImageRule.Capabilities, $"a list of {count} capabilities; QEMU has fewer");
        }

        for (; count > 0; count--)
        {
            var start = cursor.Position;
            var name = ReadName("a capability");
            _capabilities.Add(name);
            if (name == StreamFormat.IgnoreSharedCapability)
            {
                report(start, ImageRule.Capabilities,
                    "the capability x-ignore-shared leaves shared memory out of the image; QEMU 10 can't load it together with mapped-ram");
            }
            else if (name != StreamFormat.MappedRamCapability)
            {
                report(start, ImageRule.Capabilities, $"the capability \"{name}\" is none that QEMU records in a stream");
            }
        }
    }

    private string ReadName(string what)
    {
        var start = cursor.Position;
        var length = cursor.U8($"the name of {what}");
        return StreamName.TryDecode(cursor.Take(length, $"the name of {what}"), out var name)
            ? name
            : throw new ImageFormatException(start, ImageRule.Subsection, $"the name \"{name}\" of {what} isn't text");
    }

    /// <summary>Goes on at the ram section, known by its name and instance, when what stands before it is unreadable.</summary>
    private void SkipToRam(long from)
    {
        const int NameOffset = 1 + sizeof(uint);
        var name = cursor.Find(SectionBoundary.RamNameAndInstance, from + NameOffset, boundary.Limit);
        if (name < 0)
        {
            throw new ImageFormatException(from, ImageRule.RamMissing, "no ram section can be found");
        }

        cursor.Position = name - NameOffset;
    }
}
