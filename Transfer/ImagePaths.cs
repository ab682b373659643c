namespace DistMigrate.Transfer;

/// <summary>The names of an image's side files, all in its own folder.</summary>
/// <param name="image">The published image's path.</param>
internal sealed class ImagePaths(string image)
{
    /// <summary>The published image.</summary>
    public string Image { get; } = image;

    /// <summary>The image while it is written.</summary>
    public string Partial => Image + ".partial";

    /// <summary>What the guest was, for the check before a load.</summary>
    public string Manifest => Image + ".manifest.json";

    /// <summary>The manifest before the image is published.</summary>
    public string PartialManifest => Partial + ".manifest.json";

    /// <summary>Claim number <paramref name="number"/>.</summary>
    public string Claim(int number) => $"{Image}.claim.{number}";

    /// <summary>The record by which the holder of a claim gives it up.</summary>
    public string Release(int number) => $"{Image}.claim.{number}.released";
}
