namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>One thing that is looked at on this host.</summary>
/// <param name="Id">Its id.</param>
/// <param name="LookAsync">Looks at it.</param>
internal sealed record HostCheck(string Id, Func<HostScene, CancellationToken, Task<Finding>> LookAsync)
{
    public HostCheck(string id, Func<Finding> look) : this(id, (_, _) => Task.FromResult(look()))
    {
    }
}
