namespace DistMigrate.MappedRam;

/// <summary>
/// Writes an image of some RAMBlocks of another one, with its whole device state. QEMU leaves the memory of a RAMBlock that an image does
/// not list as it is: so a QEMU whose large RAMBlocks are filled already, or map the image itself, loads such an excerpt in milliseconds.
/// </summary>
public static class ImageExcerpt
{
    private const int ChunkPages = 256;

    /// <summary>Writes the excerpt.</summary>
    /// <param name="image">The structure of the image.</param>
    /// <param name="input">The image.</param>
    /// <param name="includes">Whether a RAMBlock of that name belongs to the excerpt; at least one must.</param>
    /// <param name="output">An empty file, at its beginning.</param>
    /// <exception cref="ArgumentException">No RAMBlock belongs to it.</exception>
    /// <exception cref="IOException">The storage failed.</exception>
    public static void Write(MappedRamImage image, IImageInput input, Func<string, bool> includes, Stream output)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(input);
        ArgumentNullException.ThrowIfNull(includes);
        ArgumentNullException.ThrowIfNull(output);
        var blocks = image.Blocks.Where(block => includes(block.Layout.Name)).ToList();
        var ram = image.Sections.First(section => section.Kind == SectionKind.Start);
        var layout = ImageLayout.Create(
            image.MachineName, [.. blocks.Select(block => new RamBlockSpec(block.Layout.Name, block.Layout.UsedLength))], ram.Id);
        foreach (var piece in layout.Headers())
        {
            Put(piece.Offset, piece.Bytes.Span);
        }

        var buffer = new byte[ChunkPages * Page.Size];
        foreach (var (from, to) in blocks.Zip(layout.Blocks))
        {
            var bitmap = new byte[to.BitmapLength];
            from.Shadow.CopyTo(bitmap);
            Put(to.BitmapOffset, bitmap);
            for (var next = 0L; from.Shadow.TryFindSetRun(next, ChunkPages, out var run); next = run.End)
            {
                var chunk = buffer.AsSpan(0, (int)run.Length);
                input.ReadExactly(from.Layout.PagesOffset + run.Offset, chunk);
                Put(to.PagesOffset + run.Offset, chunk);
            }
        }

        Put(layout.TailOffset, layout.Tail(Devices(image, input)));

        void Put(long offset, ReadOnlySpan<byte> bytes)
        {
            output.Position = offset;
            output.Write(bytes);
        }
    }

    /// <summary>Reads the device state of an image: all from behind the end of its RAM to the EOF byte, and the vmdescription.</summary>
    /// <exception cref="IOException">The storage failed.</exception>
    public static DeviceSections Devices(MappedRamImage image, IImageInput input)
    {
        ArgumentNullException.ThrowIfNull(image);
        ArgumentNullException.ThrowIfNull(input);
        var start = image.Sections.Where(section => section.Kind == SectionKind.End).Max(section => section.Offset + section.Length);
        return new DeviceSections(Read(start, image.EofOffset - start), image.HasVmDescription ? Read(image.VmDescriptionOffset, image.VmDescriptionLength) : default);

        ReadOnlyMemory<byte> Read(long offset, long length)
        {
            var bytes = new byte[length];
            input.ReadExactly(offset, bytes);
            return bytes;
        }
    }
}
