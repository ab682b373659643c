namespace DistMigrate.Transfer;

/// <summary>A file of an unfinished or interrupted save, or a remark about a folder in which such files could not be looked for.</summary>
/// <param name="Path">Its path, with every link followed.</param>
/// <param name="Bytes">Bytes that the file system holds for it.</param>
/// <param name="Changed">When it was last written.</param>
/// <param name="Migration">The migration that made it; empty when that is not known.</param>
/// <param name="Guest">Its guest; empty when that is not known.</param>
/// <param name="IsOwned">Whether it must stay; the remark says why.</param>
/// <param name="IsRemoved">Whether it was removed.</param>
/// <param name="Remark">Who owns it, why it is kept, or what is not known of it; empty otherwise.</param>
public sealed record LeftoverFile(
    string Path, long Bytes, DateTimeOffset Changed, string Migration, string Guest, bool IsOwned, bool IsRemoved, string Remark);

/// <summary>A save that the catalog knows.</summary>
/// <param name="Migration">Its id.</param>
/// <param name="Guest">Its guest.</param>
/// <param name="ImagePath">Where its image is to be published.</param>
/// <param name="Phase">Where it stands, in our output's words.</param>
/// <param name="IsUnfinished">Whether it may go on.</param>
public sealed record KnownSave(string Migration, string Guest, string ImagePath, string Phase, bool IsUnfinished);
