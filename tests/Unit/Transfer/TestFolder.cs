namespace DistMigrate.Tests.Unit.Transfer;

/// <summary>A folder of one test, removed at its end.</summary>
internal sealed class TestFolder : IDisposable
{
    /// <summary>Makes one below the temporary folder, or below another one such as /dev/shm.</summary>
    public TestFolder(string? parent = null)
    {
        var folder = System.IO.Path.Combine(parent ?? System.IO.Path.GetTempPath(), $"dm-unit-{Guid.NewGuid():N}");
        Path = Directory.CreateDirectory(folder).FullName;
    }

    public string Path { get; }

    public string this[string name] => System.IO.Path.Combine(Path, name);

    public string Write(string name, string text)
    {
        File.WriteAllText(this[name], text);
        return this[name];
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
