using DistMigrate.MappedRam;

namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>The bytes of one file of a <see cref="ModelStorage"/>: as they are read, and as they are after a power cut.</summary>
internal sealed class ModelContent(ulong inode)
{
    private const int Sector = 512;

    private readonly Dictionary<long, Unit> _units = [];
    private readonly HashSet<long> _dirty = [];
    private long _durableLength;

    public ulong Inode => inode;

    public long Length { get; private set; }

    /// <summary>Who holds the lock.</summary>
    public ModelStorage.OpenFile? Owner { get; set; }

    public bool IsClean => _durableLength == Length && _dirty.Count == 0;

    public byte[] Read(bool durable)
    {
        var bytes = new byte[durable ? _durableLength : Length];
        foreach (var (number, unit) in _units)
        {
            var start = number * Page.Size;
            if (start < bytes.Length)
                (durable ? unit.Durable : unit.Cached).AsSpan(0, (int)Math.Min(Page.Size, bytes.Length - start)).CopyTo(bytes.AsSpan((int)start));
        }

        return bytes;
    }

    public void Read(long offset, Span<byte> buffer, bool durable)
    {
        for (var done = 0; done < buffer.Length;)
        {
            var (number, within) = Math.DivRem(offset + done, Page.Size);
            var piece = buffer.Slice(done, Math.Min(buffer.Length - done, Page.Size - (int)within));
            if (_units.TryGetValue(number, out var unit))
                (durable ? unit.Durable : unit.Cached).AsSpan((int)within, piece.Length).CopyTo(piece);
            else
                piece.Clear();
            done += piece.Length;
        }
    }

    public void Write(ReadOnlySpan<byte> bytes, long offset, ModelStorage.OpenFile writer)
    {
        for (var done = 0; done < bytes.Length;)
        {
            var (number, within) = Math.DivRem(offset + done, Page.Size);
            var piece = bytes.Slice(done, Math.Min(bytes.Length - done, Page.Size - (int)within));
            Change(number, (int)within, piece.Length, writer, out var unit);
            piece.CopyTo(unit.Cached.AsSpan((int)within));
            done += piece.Length;
        }

        Length = Math.Max(Length, offset + bytes.Length);
    }

    public void Truncate(long length, ModelStorage.OpenFile writer)
    {
        foreach (var number in _units.Keys.Where(number => (number + 1) * Page.Size > length).ToList())
        {
            var from = (int)Math.Max(0, length - (number * Page.Size));
            Change(number, from, Page.Size - from, writer, out var unit);
            unit.Cached.AsSpan(from).Clear();
        }

        Length = length;
    }

    public void Sync()
    {
        foreach (var number in _dirty)
            _units[number].Persist(_units[number].Dirty);
        _durableLength = Length;
        Forget();
    }

    /// <summary>Takes for clean what is not on the disk.</summary>
    public void Forget()
    {
        foreach (var number in _dirty)
            _units[number].Clean();
        _dirty.Clear();
    }

    /// <summary>Drops some of what is not on the disk, and persists some; who wrote it may be told.</summary>
    public void Lose(Random random)
    {
        var told = random.Next(2) == 0;
        foreach (var unit in _dirty.Select(number => _units[number]).Where(_ => random.Next(3) > 0))
        {
            var kept = (byte)random.Next(256);
            unit.Persist((byte)(unit.Dirty & kept));
            if ((unit.Dirty & ~kept) != 0)
                unit.Writers.ForEach(writer => writer.HasLost = true);

            // The page cache shows what was written, or what is there.
            if (told)
                unit.Durable.CopyTo(unit.Cached.AsSpan());
            unit.Clean();
        }

        _dirty.RemoveWhere(number => _units[number].Dirty == 0);
    }

    /// <summary>Has another page than was written.</summary>
    public void Forget(long offset, byte older)
    {
        var number = offset / Page.Size;
        _units.Remove(number);
        _dirty.Remove(number);
        if (older == 0)
            return;
        _units[number] = new Unit();
        Array.Fill(_units[number].Cached, older);
        Array.Fill(_units[number].Durable, older);
    }

    /// <summary>Where something was written, or null: file systems of odd inodes do not tell.</summary>
    public IReadOnlyList<(long Start, long End)>? TryExtents(long start, long end) => inode % 2 == 1
        ? null
        : [.. _units.Keys.Order().Select(number => (Start: number * Page.Size, End: (number + 1) * Page.Size)).Where(unit => unit.Start >= start && unit.End <= end)];

    public void Crash(Random random)
    {
        foreach (var number in _dirty)
            _units[number].Persist((byte)(_units[number].Dirty & random.Next(256)));

        // A file that grew has its old length, its new one, or one between; one that was cut, either.
        var (low, high) = (Math.Min(Length, _durableLength), Math.Max(Length, _durableLength));
        _durableLength = Length < _durableLength
            ? random.Next(2) == 0 ? low : high
            : random.Next(3) switch { 0 => low, 1 => high, _ => random.NextInt64(low, high + 1) };
        Length = _durableLength;
        Forget();
        foreach (var (number, unit) in _units)
        {
            unit.Durable.AsSpan((int)Math.Clamp(Length - (number * Page.Size), 0, Page.Size)).Clear();
            unit.Durable.CopyTo(unit.Cached.AsSpan());
        }

        Owner = null;
    }

    private void Change(long number, int from, int count, ModelStorage.OpenFile writer, out Unit unit)
    {
        if (!_units.TryGetValue(number, out unit!))
            _units.Add(number, unit = new Unit());
        for (var sector = from / Sector; sector * Sector < from + count; sector++)
            unit.Dirty |= (byte)(1 << sector);
        if (!unit.Writers.Contains(writer))
            unit.Writers.Add(writer);
        _dirty.Add(number);
    }

    private sealed class Unit
    {
        public byte[] Cached { get; } = new byte[Page.Size];

        public byte[] Durable { get; } = new byte[Page.Size];

        /// <summary>One bit for each sector.</summary>
        public byte Dirty { get; set; }

        public List<ModelStorage.OpenFile> Writers { get; } = [];

        public void Persist(byte sectors)
        {
            for (var sector = 0; sector < Page.Size / Sector; sector++)
            {
                if ((sectors >> sector & 1) != 0)
                    Cached.AsSpan(sector * Sector, Sector).CopyTo(Durable.AsSpan(sector * Sector));
            }
        }

        public void Clean()
        {
            Dirty = 0;
            Writers.Clear();
        }
    }
}
