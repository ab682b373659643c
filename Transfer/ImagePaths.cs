using System.Text;

namespace DistMigrate.Transfer;

/// <summary>The names of an image's side files, all in its own folder.</summary>
/// <param name="image">The published image's path.</param>
internal sealed class ImagePaths(string image)
{
    /// <summary>Bytes of a name, in every file system of Linux that matters here.</summary>
    private const int LongestName = 255;

    /// <summary>Characters that <see cref="DurableFile"/> appends to a name while it writes.</summary>
    private const int TemporarySuffix = 33;

    /// <summary>The published image.</summary>
    public string Image { get; } = image;

    /// <summary>The image while it is written.</summary>
    public string Partial => Image + ".partial";

    /// <summary>What the guest was, for the check before a load.</summary>
    public string Manifest => Image + ".manifest.json";

    /// <summary>The manifest before the image is published.</summary>
    public string PartialManifest => Partial + ".manifest.json";

    /// <summary>What is durable of the image while it is written.</summary>
    public string Journal => Image + ".journal";

    /// <summary>The hash of every page of the published image.</summary>
    public string Checksums => Image + ".checksums";

    /// <summary>The checksums before the image is published.</summary>
    public string PartialChecksums => Partial + ".checksums";

    /// <summary>The folder of all of them.</summary>
    public string Folder => Path.GetDirectoryName(Image)!;

    /// <summary>The side files that are published with the image: their names before and after.</summary>
    public IReadOnlyList<(string From, string To)> SideFiles => [(PartialManifest, Manifest), (PartialChecksums, Checksums)];

    /// <summary>Claim number <paramref name="number"/>.</summary>
    public string Claim(int number) => $"{Image}.claim.{number}";

    /// <summary>The record by which the holder of a claim gives it up.</summary>
    public string Release(int number) => $"{Image}.claim.{number}.released";

    /// <summary>Refuses names that would fail only when the image is published.</summary>
    /// <exception cref="ImageException">A side file's name is a folder's, or too long.</exception>
    public void EnsureUsable()
    {
        if (SideFiles.SelectMany(file => new[] { file.From, file.To }).FirstOrDefault(Directory.Exists) is { } folder)
        {
            throw new ImageException(ImageFault.Exists,
                $"{folder} exists already and is a folder, where a side file of the image is to lie. Remove it, or choose another name.");
        }

        var room = LongestName - Encoding.UTF8.GetByteCount(PartialManifest[Image.Length..]) - TemporarySuffix;
        if (Encoding.UTF8.GetByteCount(Path.GetFileName(Image)) > room)
            throw new ImageException(ImageFault.Storage, $"The name of {Image} is too long for its side files. Choose one of at most {room} bytes.");
    }
}
