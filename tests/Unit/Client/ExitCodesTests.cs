using DistMigrate.Client;
using DistMigrate.Contracts;

namespace DistMigrate.Tests.Unit.Client;

public sealed class ExitCodesTests
{
    [Fact]
    public void Every_reason_has_an_exit_code()
    {
        foreach (var reason in Enum.GetValues<FailureReason>())
            Assert.InRange(ExitCodes.Of(reason), 0, 12);
    }

    [Fact]
    public void Only_no_reason_is_a_success() =>
        Assert.Equal([FailureReason.None], Enum.GetValues<FailureReason>().Where(reason => ExitCodes.Of(reason) == ExitCode.Ok));

    [Theory]
    [InlineData(nameof(FailureReason.InvalidRequest), 2)]
    [InlineData(nameof(FailureReason.GuestBlocked), 3)]
    [InlineData(nameof(FailureReason.ImageExists), 3)]
    [InlineData(nameof(FailureReason.Cancelled), 5)]
    [InlineData(nameof(FailureReason.NotFound), 6)]
    [InlineData(nameof(FailureReason.ClaimHeld), 7)]
    [InlineData(nameof(FailureReason.ImageMalformed), 8)]
    [InlineData(nameof(FailureReason.HostUnavailable), 9)]
    [InlineData(nameof(FailureReason.NoSpace), 10)]
    [InlineData(nameof(FailureReason.GuestExited), 1)]
    public void The_documented_codes_stay(string reason, int code) => Assert.Equal(code, ExitCodes.Of(Enum.Parse<FailureReason>(reason)));

    [Fact]
    public void A_reason_of_a_newer_silo_is_a_failure() => Assert.Equal(ExitCode.Failed, ExitCodes.OfReceived((FailureReason)9999));

    [Theory]
    [InlineData(nameof(MigrationPhase.Completed), 0)]
    [InlineData(nameof(MigrationPhase.Cancelled), 5)]
    [InlineData(nameof(MigrationPhase.Paused), 4)]
    [InlineData(nameof(MigrationPhase.NeedsAttention), 12)]
    [InlineData(nameof(MigrationPhase.Failed), 1)]
    public void A_phase_without_a_reason_has_its_own_code(string phase, int code) =>
        Assert.Equal(code, ExitCodes.Of(TestMigration.Status(Enum.Parse<MigrationPhase>(phase))));

    [Fact]
    public void A_failed_migration_has_the_code_of_its_reason() =>
        Assert.Equal(ExitCode.Storage, ExitCodes.Of(TestMigration.Status(MigrationPhase.Failed, FailureReason.ReadOnlyStorage)));
}
