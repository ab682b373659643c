namespace DistMigrate.MappedRam;

/// <summary>
/// Checks the structure of a mapped-ram image: everything that QEMU's loader checks, and everything that it should.
/// Whether the pages hold what the guest had is the business of the image's checksums.
/// </summary>
public static class ImageVerifier
{
    private const int MaxViolations = 1000;

    /// <summary>Finds the malformations of an image; it reads on after one where that is possible.</summary>
    /// <param name="input">The image; it stays open.</param>
    /// <returns>The malformations by offset, at most 1000; none when the image is well-formed.</returns>
    /// <exception cref="IOException">The storage failed. No content of the image throws.</exception>
    public static IReadOnlyList<ImageViolation> Verify(IImageInput input)
    {
        ArgumentNullException.ThrowIfNull(input);
        var violations = new List<ImageViolation>();
        try
        {
            new ImageReader(input, Add).Read();
        }
        catch (ImageFormatException unreadable)
        {
            violations.Add(unreadable.Violation);
        }

        return [.. violations.OrderBy(violation => violation.Offset)];

        void Add(ImageViolation violation)
        {
            if (violations.Count == MaxViolations - 1)
            {
                throw new ImageFormatException(
                    violation.Offset, ImageRule.Limit, $"more than {MaxViolations} malformations: the check stops here");
            }

            violations.Add(violation);
        }
    }
}
