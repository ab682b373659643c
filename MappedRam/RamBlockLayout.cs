namespace DistMigrate.MappedRam;

/// <summary>Where one RAMBlock stands in the image; every offset is in bytes from the start of the file.</summary>
/// <param name="Name">QEMU's <c>idstr</c>.</param>
/// <param name="UsedLength">Bytes of guest memory: a multiple of <see cref="Page.Size"/>.</param>
/// <param name="HeaderOffset">The block header: name, used length and mapped-ram header.</param>
/// <param name="BitmapOffset">The shadow bitmap: one bit per page, set for a page that is present.</param>
/// <param name="PagesOffset">The pages: page <c>i</c> at <c>PagesOffset + i * 4096</c>.</param>
public sealed record RamBlockLayout(string Name, long UsedLength, long HeaderOffset, long BitmapOffset, long PagesOffset)
{
    /// <summary>How many pages the block has.</summary>
    public long PageCount => UsedLength >> Page.Shift;

    /// <summary>The shadow bitmap's length in bytes: whole 64-bit words.</summary>
    public long BitmapLength => PageBitmap.ByteLength(PageCount);

    /// <summary>The offset behind the last page: where the next block header, or the ram section's EOS, stands.</summary>
    public long PagesEnd => PagesOffset + UsedLength;
}
