using Xunit;

namespace DistMigrate.Tests.Lab;

/// <summary>
/// A fact that needs programs of the machine. Where one is missing it is skipped with the reason; with CI set it runs and fails with
/// that reason, because a machine that should test everything must not pass by skipping. Without a KVM it is always skipped.
/// </summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiresQemuFactAttribute : FactAttribute
{
    /// <summary>A fact that needs <paramref name="needs"/>.</summary>
    public RequiresQemuFactAttribute(LabNeeds needs = LabNeeds.SelfCheckGuest)
    {
        Needs = needs;
        Skip = LabPrograms.ReasonToSkip(needs);
    }

    /// <summary>What must be on the machine.</summary>
    public LabNeeds Needs { get; }
}
