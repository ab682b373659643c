namespace DistMigrate.MappedRam;

/// <summary>
/// Walks through an image as QEMU's loader does, and checks what the loader trusts. Every malformation goes to
/// <c>report</c>, whose choice it is to go on (a verifier) or to throw (a reader); one behind which nothing can be found is
/// thrown at once.
/// </summary>
internal sealed class ImageReader
{
    /// <summary>A guest has one section per device, and some hundreds of devices at most.</summary>
    private const int MaxSections = 100_000;

    /// <summary>Each new search for the next section reads on to the end of the image.</summary>
    private const int MaxSearches = 32;

    /// <summary>What stands before the RAM is small; nothing of it is searched for behind this offset.</summary>
    private const long MaxPreambleLength = 64 << 20;

    /// <summary>Between regions there is padding of less than 1 MiB; of larger gaps the front is looked at.</summary>
    private const long MaxGapCheck = 64 << 20;

    private readonly IImageInput _input;
    private readonly ImageCursor _cursor;
    private readonly Action<ImageViolation> _report;
    private readonly SectionBoundary _boundary;
    private readonly PreambleReader _preamble;
    private readonly RegionMap _regions = new();
    private readonly List<StreamSection> _sections = [];
    private readonly Dictionary<uint, Entry> _entries = [];
    private readonly HashSet<uint> _entriesWithPart = [];

    private RamReader? _ram;
    private uint _ramId;
    private long _ramIdField;
    private long _tailOffset;
    private bool _ramHasParts;
    private bool _ramEnded;
    private long _eofOffset;
    private VmDescription? _description;
    private int _searches;

    public ImageReader(IImageInput input, Action<ImageViolation> report)
    {
        _input = input;
        _report = report;
        _cursor = new ImageCursor(input);
        _boundary = new SectionBoundary(_cursor) { Limit = Math.Min(_cursor.Length, MaxPreambleLength) };
        _preamble = new PreambleReader(_cursor, _boundary, Report);
    }

    /// <summary>Reads the image. The result is complete if nothing was reported.</summary>
    /// <exception cref="ImageFormatException">The walk can't go on, or <c>report</c> threw it.</exception>
    public MappedRamImage Read()
    {
        try
        {
            _preamble.Read();
            while (ReadSection())
            {
            }
        }
        catch (ImageFormatException e) when (LooksInterrupted
            && e.Rule is ImageRule.Truncated or ImageRule.EofMissing or ImageRule.Eos or ImageRule.Footer)
        {
            throw new ImageFormatException(
                e.Offset, ImageRule.InterruptedSave,
                "the save that wrote this file was interrupted: no page is present in any bitmap, and the end of the stream is missing");
        }

        CheckRamEnd();
        CheckDevices();
        CheckGaps();
        return new MappedRamImage
        {
            MachineName = _preamble.MachineName,
            Capabilities = _preamble.Capabilities,
            Blocks = _ram?.Blocks ?? [],
            Sections = _sections,
            TailOffset = _tailOffset,
            EofOffset = _eofOffset,
            VmDescriptionOffset = _description?.Offset ?? 0,
            VmDescriptionLength = _description?.Length ?? 0,
        };
    }

    private bool LooksInterrupted => !_ramEnded && _ram is { HasNoPages: true };

    private void Report(long offset, ImageRule rule, string message) => _report(new ImageViolation(offset, rule, message));

    /// <summary>Reads a section or a command.</summary>
    /// <returns>False when it was the end of the stream.</returns>
    private bool ReadSection()
    {
        var start = _cursor.Position;
        if (_ram is null && _boundary.IsRamHeader(start))
        {
            ReadNamedSection();
            return true;
        }

        if (start == _boundary.EofOffset || _cursor.PeekByte(start) == StreamFormat.Eof)
        {
            ReadEnd();
            return false;
        }

        if (start >= _cursor.Length)
        {
            throw new ImageFormatException(start, ImageRule.EofMissing, "the file ends without the EOF byte of the stream");
        }

        switch (_cursor.PeekByte(start))
        {
            case StreamFormat.SectionStart:
            case StreamFormat.SectionFull:
                ReadNamedSection();
                break;
            case StreamFormat.SectionPart:
            case StreamFormat.SectionEnd:
                ReadContinuation();
                break;
            case StreamFormat.Command:
                ReadCommand();
                break;
            case var type:
                Report(start, ImageRule.SectionType, $"0x{type:x2} is no section type");
                SkipToNextSection(start + 1);
                break;
        }

        return true;
    }

    /// <summary>A START or a FULL: the ram section's list of blocks, or the state of a device.</summary>
    private void ReadNamedSection()
    {
        var start = _cursor.Position;
        var kind = (SectionKind)_cursor.U8("a section");
        var idField = _cursor.Position;
        var id = _cursor.U32("a section id");
        var nameField = _cursor.Position;
        var nameLength = _cursor.U8("a section's name");
        if (!StreamName.TryDecode(_cursor.Take(nameLength, "a section's name"), out var name))
        {
            Report(nameField, ImageRule.SectionName, $"the name \"{name}\" of a section isn't text");
        }

        var instanceField = _cursor.Position;
        var entry = new Entry(name, _cursor.U32($"the instance of section \"{name}\""), _cursor.U32($"the version of section \"{name}\""));
        if (name == StreamFormat.RamSectionName)
        {
            if (kind != SectionKind.Start)
            {
                Report(start, ImageRule.SectionType, $"the ram section opens with the type 0x{(byte)kind:x2} instead of SECTION_START");
                kind = SectionKind.Start;
            }

            if (entry is not { Instance: StreamFormat.RamSectionInstance, Version: StreamFormat.RamSectionVersion })
            {
                Report(instanceField, ImageRule.RamVersion,
                    $"the ram section has instance {entry.Instance} and version {entry.Version}, not 0 and {StreamFormat.RamSectionVersion}");
            }

            _ramId = id;
            _ramIdField = idField;
            Start(id, entry);
            ReadRam();
            ReadEos();
            ReadFooter(id, name);
        }
        else
        {
            if (_ram is null && kind == SectionKind.Full && !name.EndsWith("early", StringComparison.Ordinal))
            {
                Report(start, ImageRule.SectionOrder, $"the state of device \"{name}\" stands before the RAM");
            }

            if (kind == SectionKind.Start)
            {
                Start(id, entry);
            }

            SkipPayload(id, name);
        }

        AddSection(kind, id, entry, start);
    }

    private void Start(uint id, Entry entry)
    {
        _entries[id] = entry;
        _boundary.StartedIds.Add(id);
    }

    /// <summary>A PART or an END of an entry that has started. Those of the ram section hold no data in a mapped-ram image.</summary>
    private void ReadContinuation()
    {
        var start = _cursor.Position;
        var kind = (SectionKind)_cursor.U8("a section");
        var id = _cursor.U32("a section id");
        if (!_entries.TryGetValue(id, out var entry))
        {
            Report(start + 1, ImageRule.SectionId, $"no section with the id {id} has started");
            if (_ram is null || !_cursor.Peek(_cursor.Position, sizeof(ulong)).SequenceEqual(SectionBoundary.EosWord))
            {
                SkipToNextSection(start + 1);
                return;
            }

            (id, entry) = (_ramId, _entries[_ramId]);
        }

        if (_ram is null || id != _ramId)
        {
            SkipPayload(id, entry.Name);
        }
        else
        {
            ReadRamContinuation(start, kind);
            ReadEos();
            ReadFooter(id, entry.Name);
        }

        AddSection(kind, id, entry, start);
    }

    private void ReadRamContinuation(long start, SectionKind kind)
    {
        if (_ramId == 0 && !_ramHasParts)
        {
            Report(_ramIdField, ImageRule.SectionId, "the ram section has the id 0: QEMU would hand its further parts to another entry");
        }

        if (_ramEnded)
        {
            Report(start, ImageRule.SectionOrder, "the ram section goes on behind its end");
        }

        _ramHasParts = true;
        _ramEnded |= kind == SectionKind.End;
    }

    private void AddSection(SectionKind kind, uint id, Entry entry, long start)
    {
        // A live migration has one per iteration, without limit; the first stands for all.
        if (kind == SectionKind.Part && !_entriesWithPart.Add(id))
        {
            return;
        }

        if (_sections.Count == MaxSections)
        {
            throw new ImageFormatException(start, ImageRule.Limit, $"more than {MaxSections} sections");
        }

        _sections.Add(new StreamSection(kind, entry.Name, entry.Instance, entry.Version, start, _cursor.Position - start, id));
    }

    private void ReadRam()
    {
        if (_ram is not null)
        {
            throw new ImageFormatException(_cursor.Position, ImageRule.SectionOrder, "there is a second ram section");
        }

        if (_preamble.Capabilities.Contains(StreamFormat.IgnoreSharedCapability, StringComparer.Ordinal))
        {
            throw new ImageFormatException(
                _cursor.Position, ImageRule.Capabilities, "the RAMBlock list of an image with x-ignore-shared has another form");
        }

        _regions.Add(0, _cursor.Position + sizeof(ulong), "the preamble");
        _ram = new RamReader(_input, _cursor, _regions, Report);
        _ram.Read();
        _tailOffset = _cursor.Position;
        LocateEnd();
    }

    /// <summary>
    /// The stream ends with the file, or before bitmaps and pages that stand behind it. The vmdescription tells the end, as
    /// its length must lead there.
    /// </summary>
    private void LocateEnd()
    {
        _boundary.Limit = _cursor.Length;
        _boundary.Description = VmDescription.Locate(_cursor, _tailOffset, _cursor.Length);
        if (_boundary.Description is not null || _regions.NextStart(_tailOffset) is not (>= 0 and var limit))
        {
            return;
        }

        _boundary.Limit = limit;
        var padding = Math.Max(_tailOffset, limit - StreamFormat.PagesAlignment);
        _boundary.Description = VmDescription.Locate(_cursor, _tailOffset, _cursor.FindLastNonZero(padding, limit) + 1);
    }

    private void ReadEos()
    {
        var start = _cursor.Position;
        var word = _cursor.U64("the EOS of the ram section");
        if (word == StreamFormat.RamFlagEos)
        {
            return;
        }

        var violation = new ImageViolation(
            start, ImageRule.Eos,
            word == 0
                ? "there is a hole where the EOS of the ram section should be: the save isn't finished"
                : $"the word 0x{word:x} instead of the EOS of the ram section");
        if (word == 0 && _cursor.PeekByte(_cursor.Position) is <= 0)
        {
            throw new ImageFormatException(violation);
        }

        _report(violation);
    }

    private void ReadFooter(uint id, string name)
    {
        var start = _cursor.Position;
        if (!_boundary.HasFooter(start, id))
        {
            if (start + StreamFormat.FooterLength > _cursor.Length)
            {
                throw new ImageFormatException(start, ImageRule.Truncated, $"the file ends where the footer of section \"{name}\" should be");
            }

            ReportFooter(start, id, name);
            if (_cursor.PeekByte(start) != StreamFormat.SectionFooter && _boundary.IsPlausible(start))
            {
                return;
            }
        }

        _cursor.Position = start + StreamFormat.FooterLength;
    }

    /// <summary>Goes to the end of a payload that only its device can parse.</summary>
    private void SkipPayload(uint id, string name)
    {
        var payload = _cursor.Position;
        var (end, hasFooter) = _boundary.FindEnd(payload, id);
        if (end < 0)
        {
            throw new ImageFormatException(
                payload, ImageRule.Footer, $"no footer of section \"{name}\" (id {id}), nor any section behind it, up to the end of the file");
        }

        if (!hasFooter)
        {
            CountSearch(payload);
            ReportFooter(end - StreamFormat.FooterLength, id, name);
        }

        _cursor.Position = end;
    }

    private void ReportFooter(long offset, uint id, string name)
    {
        var found = Convert.ToHexStringLower(_cursor.Peek(offset, StreamFormat.FooterLength));
        Report(offset, ImageRule.Footer, $"{found} instead of the footer {StreamFormat.SectionFooter:x2}{id:x8} of section \"{name}\"");
    }

    private void SkipToNextSection(long from)
    {
        CountSearch(from);
        var next = _boundary.FindNext(from);
        if (next < 0)
        {
            throw new ImageFormatException(from, ImageRule.EofMissing, "no further section, and no end of the stream, can be found");
        }

        _cursor.Position = next;
    }

    private void CountSearch(long offset)
    {
        if (++_searches > MaxSearches)
        {
            throw new ImageFormatException(offset, ImageRule.Limit, "too many damaged sections: the check stops here");
        }
    }

    private void ReadCommand()
    {
        var start = _cursor.Position++;
        var code = _cursor.U16("a command");
        var length = _cursor.U16("the length of a command's data");
        var command = StreamCommand.Find(code);
        if (command is null)
        {
            Report(start, ImageRule.Command, $"command {code} can't stand in a file");
            if (!_boundary.IsPlausible(_cursor.Position + length))
            {
                SkipToNextSection(_cursor.Position);
                return;
            }
        }
        else if (!command.Allows(length))
        {
            Report(start, ImageRule.Command, $"the command {command.Name} has {length} bytes of data");
            if (!_boundary.IsPlausible(_cursor.Position + length))
            {
                length = 0;
            }
        }
        else if (command.BeforeRam != _ram is null)
        {
            Report(start, ImageRule.Command, $"the command {command.Name} stands on the wrong side of the RAM");
        }

        _cursor.Take(length, "a command's data");
    }

    /// <summary>The EOF byte, the vmdescription, and nothing behind them.</summary>
    private void ReadEnd()
    {
        _eofOffset = _cursor.Position;
        if (_cursor.U8("the EOF byte") != StreamFormat.Eof)
        {
            Report(_eofOffset, ImageRule.EofMissing, "the EOF byte of the stream is missing before the vmdescription");
        }

        var end = _cursor.Position;
        if (_eofOffset == _boundary.EofOffset)
        {
            _description = _boundary.Description;
            end = _description!.Offset + _description.Length;
        }
        else if (_cursor.PeekByte(end) == StreamFormat.VmDescription)
        {
            end = ReadUnexpectedDescription();
        }

        if (_description is { IsJson: false })
        {
            Report(_description.Offset, ImageRule.VmDescriptionText, "the vmdescription isn't a JSON object");
        }

        if (_boundary.Limit == _cursor.Length ? end < _cursor.Length : _cursor.SkipZeros(end, _boundary.Limit) < _boundary.Limit)
        {
            Report(end, ImageRule.TrailingBytes, $"0x{_boundary.Limit - end:x} bytes behind the end of the stream");
        }

        if (_ram is not null)
        {
            AddTail(end);
        }
    }

    private void AddTail(long end)
    {
        foreach (var region in _regions.Overlapping(_tailOffset, end))
        {
            Report(region.Start, ImageRule.RegionOverlap, $"{region.What} overlaps the tail (0x{_tailOffset:x} to 0x{end:x})");
        }

        _regions.Add(_tailOffset, end - _tailOffset, "the tail");
    }

    /// <summary>A vmdescription whose length doesn't lead to the end: either the length is wrong or something follows.</summary>
    private long ReadUnexpectedDescription()
    {
        var lengthField = ++_cursor.Position;
        var length = _cursor.U32("the length of the vmdescription");
        var text = _cursor.Position;
        var available = _boundary.Limit - text;
        if (length <= available)
        {
            var description = VmDescription.Parse(_cursor, text, text + length);
            if (description.IsJson)
            {
                _description = description;
                return text + length;
            }
        }

        Report(lengthField, ImageRule.VmDescriptionLength,
            $"the vmdescription has a length of {length} bytes, but {available} follow to the end of the stream");
        _description = new VmDescription(text, available, IsJson: true, new Dictionary<(string Name, uint Instance), uint?>());
        return _boundary.Limit;
    }

    private void CheckRamEnd()
    {
        if (_ram is null)
        {
            Report(_eofOffset, ImageRule.RamMissing, "the stream has no ram section");
        }
        else if (LooksInterrupted)
        {
            Report(_tailOffset, ImageRule.InterruptedSave,
                "no page is present in any bitmap, and the ram section has no end: QEMU's background-snapshot with mapped-ram"
                + " leaves such a file, without the guest's memory");
        }
        else if (_ramHasParts && !_ramEnded)
        {
            Report(_tailOffset, ImageRule.SectionOrder, "the ram section has further parts but no end");
        }
    }

    /// <summary>Compares the device sections with the vmdescription's list, where there is one.</summary>
    private void CheckDevices()
    {
        if (_description is not { Devices: { Count: > 0 } listed })
        {
            return;
        }

        var found = new HashSet<(string Name, uint Instance)>();
        foreach (var section in _sections.Where(section => section.Kind == SectionKind.Full))
        {
            var key = (section.Name, section.Instance);
            if (!found.Add(key))
            {
                Report(section.Offset, ImageRule.DeviceList, $"device \"{section.Name}\" instance {section.Instance} has two sections");
            }
            else if (!listed.TryGetValue(key, out var version))
            {
                Report(section.Offset, ImageRule.DeviceList,
                    $"device \"{section.Name}\" instance {section.Instance} isn't in the vmdescription");
            }
            else if (version is { } expected && expected != section.Version)
            {
                Report(section.Offset, ImageRule.DeviceList,
                    $"device \"{section.Name}\" has version {section.Version}, in the vmdescription {expected}");
            }
        }

        foreach (var (name, instance) in listed.Keys.Where(key => !found.Contains(key)))
        {
            Report(_description.Offset, ImageRule.DeviceList,
                $"the vmdescription lists device \"{name}\" instance {instance}, which has no section");
        }
    }

    private void CheckGaps()
    {
        foreach (var (start, end) in _regions.Gaps())
        {
            var limit = Math.Min(end, start + MaxGapCheck);
            var nonZero = _cursor.SkipZeros(start, limit);
            if (nonZero < limit)
            {
                Report(nonZero, ImageRule.UnclaimedBytes,
                    $"bytes that belong to no header, bitmap or page stand between 0x{start:x} and 0x{end:x}");
            }
        }
    }

    private readonly record struct Entry(string Name, uint Instance, uint Version);
}
