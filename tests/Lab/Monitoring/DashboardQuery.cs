namespace DistMigrate.Tests.Lab.Monitoring;

/// <summary>Something that a dashboard asks Prometheus for.</summary>
/// <param name="Dashboard">The dashboard's name.</param>
/// <param name="Place">Where on it.</param>
/// <param name="Expression">What, with variables.</param>
/// <param name="IsInstant">Whether for one moment, and not for the whole time that is shown.</param>
public sealed record DashboardQuery(string Dashboard, string Place, string Expression, bool IsInstant)
{
    /// <inheritdoc/>
    public override string ToString() => $"{Dashboard}, {Place}: {Expression}";
}
