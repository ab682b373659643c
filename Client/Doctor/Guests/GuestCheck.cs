namespace DistMigrate.Client.Doctor.Guests;

/// <summary>One thing that is looked at in a guest.</summary>
/// <param name="Id">Its id.</param>
/// <param name="LookAsync">Looks at it.</param>
internal sealed record GuestCheck(string Id, Func<GuestScene, CancellationToken, Task<Finding>> LookAsync);
