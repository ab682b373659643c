using System.Globalization;
using DistMigrate.Client.Values;
using DistMigrate.MappedRam;

namespace DistMigrate.Client.Output;

/// <summary>Writes what an image holds, and what is wrong with it, to standard output.</summary>
internal static class ImageOutput
{
    public static void Show(this Terminal terminal, string path, long length, long allocated, MappedRamImage image)
    {
        if (terminal.Format == OutputFormat.Json)
        {
            OutputJson.Write(terminal, ToDocument(path, length, allocated, image), OutputJson.Writing.ImageDocument);
            return;
        }
        terminal.ShowPairs(
            ("image", path),
            ("size", $"{ByteSize.Format(length)} ({ByteSize.Format(allocated)} allocated)"),
            ("machine", image.MachineName),
            ("capabilities", string.Join(", ", image.Capabilities)),
            ("tail", Hex(image.TailOffset)),
            ("EOF", Hex(image.EofOffset)),
            ("vmdescription", image.HasVmDescription
                ? string.Create(CultureInfo.InvariantCulture, $"{image.VmDescriptionLength} bytes at {Hex(image.VmDescriptionOffset)}")
                : "none"));

        terminal.Data("");
        var blocks = Tables.Make(terminal, "Ramblock", ">Size", ">Bitmap offset", ">Pages offset", ">Pages", ">Present", ">Zero");
        foreach (var block in image.Blocks)
        {
            blocks.Row(
                block.Layout.Name, ByteSize.Format(block.Layout.UsedLength), Hex(block.Layout.BitmapOffset), Hex(block.Layout.PagesOffset),
                Printable.Count(block.Layout.PageCount), Printable.Count(block.Shadow.Count()),
                ZeroShare(block).ToString("0.0 %", CultureInfo.InvariantCulture));
        }
        terminal.Show(blocks);

        terminal.Data("");
        var sections = Tables.Make(terminal, "Section", ">Id", "Name", ">Instance", ">Version", ">Offset", ">Length");
        foreach (var section in image.Sections)
        {
            var culture = CultureInfo.InvariantCulture;
            sections.Row(
                OutputJson.NameOf(section.Kind), section.Id.ToString(culture), section.Name, section.Instance.ToString(culture),
                section.Version.ToString(culture), Hex(section.Offset), section.Length.ToString(culture));
        }
        terminal.Show(sections);
    }

    /// <summary>Shows what a check found.</summary>
    /// <param name="terminal">Where to.</param>
    /// <param name="path">The image.</param>
    /// <param name="image">What it holds; null when it is malformed.</param>
    /// <param name="violations">Its malformations.</param>
    /// <param name="pages">The comparison of its pages; null when there was none.</param>
    public static void ShowVerdict(
        this Terminal terminal, string path, MappedRamImage? image, IReadOnlyList<ImageViolation> violations, DeepVerification? pages = null)
    {
        var isGood = violations.Count == 0 && pages is not { Bad: > 0 };
        if (terminal.Format == OutputFormat.Json)
        {
            var document = new VerifyDocument(
                OutputJson.Schema, path, isGood, image?.Blocks.Count, image is null ? null : PagesPresent(image),
                image?.Sections.Count, [.. violations.Select(v => new ViolationEntry(v.Offset, OutputJson.NameOf(v.Rule), v.Message))],
                pages is null
                    ? null
                    : new PagesDocument(pages.Pages, pages.Bad, [.. pages.Violations.Select(v => new PageViolationEntry(v.Offset, v.Block, v.Page, v.Message))]));
            OutputJson.Write(terminal, document, OutputJson.Writing.VerifyDocument);
            return;
        }
        if (image is not null && isGood)
            terminal.Data(
                $"OK: {image.Blocks.Count} blocks, {Printable.Count(PagesPresent(image))} pages present, {image.Sections.Count} sections"
                + (pages is null ? "" : $"; all {Printable.Count(pages.Pages)} pages are as they were saved"));
        foreach (var violation in violations)
            terminal.Data($"{Hex(violation.Offset)} {OutputJson.NameOf(violation.Rule)}: {Printable.Of(violation.Message)}");
        foreach (var page in pages?.Violations ?? [])
            terminal.Data(Printable.Of(page.ToString()));
        if (pages is not null && pages.Bad > pages.Violations.Count)
            terminal.Data($"and {Printable.Count(pages.Bad - pages.Violations.Count)} more");
    }

    internal static ImageDocument ToDocument(string path, long length, long allocated, MappedRamImage image) => new(
        OutputJson.Schema,
        path,
        length,
        allocated,
        image.MachineName,
        image.Capabilities,
        [.. image.Blocks.Select(block => new ImageBlockEntry(
            block.Layout.Name, block.Layout.UsedLength, block.Layout.HeaderOffset, block.Layout.BitmapOffset, block.Layout.PagesOffset,
            block.Layout.PageCount, block.Shadow.Count(), Math.Round(ZeroShare(block), 6)))],
        [.. image.Sections.Select(section => new ImageSectionEntry(
            OutputJson.NameOf(section.Kind), section.Id, section.Name, section.Instance, section.Version, section.Offset, section.Length))],
        image.TailOffset,
        image.EofOffset,
        image.HasVmDescription ? image.VmDescriptionOffset : null,
        image.VmDescriptionLength);

    private static long PagesPresent(MappedRamImage image) => image.Blocks.Sum(block => block.Shadow.Count());

    /// <summary>The share of a block's pages that are not in the file because they are zero, 0 to 1.</summary>
    private static double ZeroShare(MappedRamBlock block) => 1 - ((double)block.Shadow.Count() / block.Layout.PageCount);

    private static string Hex(long offset) => string.Create(CultureInfo.InvariantCulture, $"0x{offset:x}");
}
