namespace DistMigrate.Guests;

/// <summary>A QEMU to be launched.</summary>
/// <param name="Guest">The guest's name.</param>
/// <param name="Plan">Its argument list. <c>Arguments[0]</c> is the program: an absolute path, or a name that is looked up on PATH.</param>
/// <param name="Placement">What the plan was made with.</param>
public sealed record LaunchRequest(string Guest, LaunchPlan Plan, LaunchPlacement Placement)
{
    /// <summary>Its working folder, which relative paths of disks begin from; by default the launch's own folder.</summary>
    public string? WorkingFolder { get; init; }

    /// <summary>How long QEMU may take until its monitor answers and it waits for an image. It fills memory first where it is told to (<c>prealloc</c>).</summary>
    public TimeSpan Limit { get; init; } = TimeSpan.FromSeconds(30);
}
