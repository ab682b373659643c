namespace DistMigrate.Client.Doctor.Guests;

/// <summary>Whether the guest's own QEMU is new enough and was built with what a save asks of it.</summary>
internal static class GuestQemuCheck
{
    public static Task<Finding> LookAsync(GuestScene scene, CancellationToken cancellation)
    {
        var facts = scene.Facts!;
        var version = facts.JudgeVersion();
        return Task.FromResult(version.Verdict == Verdict.Ok && facts.JudgeCapabilities() is { Verdict: not Verdict.Ok } lacks
            ? lacks with { Found = $"{version.Found} {lacks.Found}" }
            : version);
    }
}
