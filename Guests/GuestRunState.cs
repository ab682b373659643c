namespace DistMigrate.Guests;

/// <summary>What <c>query-status</c> says of a guest.</summary>
/// <param name="Running">Whether its vCPUs run.</param>
/// <param name="Status">QEMU's RunState, such as <c>running</c>, <c>paused</c>, <c>prelaunch</c>, <c>inmigrate</c>, <c>postmigrate</c>.</param>
public sealed record GuestRunState(bool Running, string Status);
