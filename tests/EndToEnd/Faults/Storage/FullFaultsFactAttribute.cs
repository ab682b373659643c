using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults.Storage;

/// <summary>A fact that makes real faults, of which a quicker test shows nearly the same: it runs with DISTMIGRATE_FULL=1 only.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class FullFaultsFactAttribute : FactAttribute
{
    /// <summary>A fact that needs <paramref name="needs"/>.</summary>
    public FullFaultsFactAttribute(FaultNeeds needs)
    {
        Needs = needs;
        if (!LabPrograms.IsFull)
            Skip = "It takes long: run ./test --full.";
        else if (!LabPrograms.IsContinuousIntegration)
            Skip = FaultTools.Missing(needs);
    }

    /// <summary>What the machine must let it do.</summary>
    public FaultNeeds Needs { get; }
}
