namespace DistMigrate.Tests.Lab;

internal static class LabResources
{
    public static byte[] Bytes(string name)
    {
        using var stream = typeof(LabResources).Assembly.GetManifestResourceStream(name)
            ?? throw new InvalidOperationException($"The resource {name} is not embedded in the Lab assembly.");
        using var copy = new MemoryStream();
        stream.CopyTo(copy);
        return copy.ToArray();
    }
}
