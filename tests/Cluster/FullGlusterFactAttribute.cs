using DistMigrate.Tests.Lab;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.Cluster;

/// <summary>A fact on a GlusterFS, of which tests on plain folders show nearly the same: it runs with DISTMIGRATE_FULL=1 only.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class FullGlusterFactAttribute : FactAttribute
{
    public FullGlusterFactAttribute()
    {
        if (!LabPrograms.IsFull)
            Skip = "It runs with ./test --full.";
        else if (!LabPrograms.IsContinuousIntegration)
            Skip = LabPrograms.Missing(LabNeeds.Redis | LabNeeds.Namespaces | LabNeeds.SelfCheckGuest) ?? GlusterStorage.Missing;
    }
}
