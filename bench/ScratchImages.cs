namespace DistMigrate.Bench;

/// <summary>One image path, used again and again. Deleting drops its page cache, and a sync keeps one run from paying for another.</summary>
internal sealed class ScratchImages(string folder)
{
    private const string Name = "bench.img";

    public string Path { get; } = System.IO.Path.Combine(folder, Name);

    public async Task DeleteAsync(CancellationToken cancellationToken)
    {
        foreach (var file in Directory.GetFiles(folder, Name + "*"))
            File.Delete(file);
        await Programs.RunAsync("sync", ["-f", folder], cancellationToken);
    }
}
