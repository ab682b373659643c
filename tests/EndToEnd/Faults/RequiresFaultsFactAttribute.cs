using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>A fact that makes real faults. Where the machine cannot it is skipped with the reason; with CI set it runs and fails with that reason.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiresFaultsFactAttribute : FactAttribute
{
    /// <summary>A fact that needs <paramref name="needs"/>.</summary>
    public RequiresFaultsFactAttribute(FaultNeeds needs)
    {
        Needs = needs;
        if (!LabPrograms.IsContinuousIntegration)
            Skip = FaultTools.Missing(needs);
    }

    /// <summary>What the machine must let it do.</summary>
    public FaultNeeds Needs { get; }
}
