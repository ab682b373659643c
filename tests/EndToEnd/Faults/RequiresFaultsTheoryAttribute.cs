using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>A theory that makes real faults; skipped as <see cref="RequiresFaultsFactAttribute"/> is.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiresFaultsTheoryAttribute : TheoryAttribute
{
    /// <summary>A theory that needs <paramref name="needs"/>.</summary>
    public RequiresFaultsTheoryAttribute(FaultNeeds needs)
    {
        Needs = needs;
        if (!LabPrograms.IsContinuousIntegration)
            Skip = FaultTools.Missing(needs);
    }

    /// <summary>What the machine must let it do.</summary>
    public FaultNeeds Needs { get; }
}
