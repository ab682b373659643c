using Xunit;

namespace DistMigrate.Tests.Lab;

/// <summary>A theory that needs programs of the machine; skipped or failed as <see cref="RequiresQemuFactAttribute"/> is.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class RequiresQemuTheoryAttribute : TheoryAttribute
{
    /// <summary>A theory that needs <paramref name="needs"/>.</summary>
    public RequiresQemuTheoryAttribute(LabNeeds needs = LabNeeds.SelfCheckGuest)
    {
        Needs = needs;
        Skip = LabPrograms.ReasonToSkip(needs);
    }

    /// <summary>What must be on the machine.</summary>
    public LabNeeds Needs { get; }
}
