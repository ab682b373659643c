namespace DistMigrate.Client.Doctor.Storage;

/// <summary>One thing that is looked at in a folder.</summary>
/// <param name="Id">Its id.</param>
/// <param name="Look">Looks at it; an <see cref="DistMigrate.Posix.ErrnoException"/> is explained by whoever calls this.</param>
/// <param name="IsNeeded">Whether nothing else is worth trying when this fails.</param>
internal sealed record StorageCheck(string Id, Func<StorageScene, Finding> Look, bool IsNeeded = false);
