using DistMigrate.Contracts;
using DistMigrate.Grains;
using DistMigrate.Guests;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class FailureTranslationTests
{
    public static TheoryData<GuestFault> GuestFaults => [.. Enum.GetValues<GuestFault>()];

    public static TheoryData<ImageFault> ImageFaults => [.. Enum.GetValues<ImageFault>()];

    [Theory]
    [MemberData(nameof(GuestFaults))]
    public void Every_fault_of_a_guest_has_a_reason_of_its_own(GuestFault fault)
    {
        var failure = FailureTranslation.Translate(new GuestException(fault, "what, why, what to do"));
        Assert.Equal("what, why, what to do", failure.Message);
        Assert.False(failure.Reason is FailureReason.None or FailureReason.Internal);
    }

    [Theory]
    [MemberData(nameof(ImageFaults))]
    public void Every_fault_of_an_image_has_a_reason_of_its_own(ImageFault fault)
    {
        var failure = FailureTranslation.Translate(new ImageException(fault, "what, why, what to do"));
        Assert.Equal("what, why, what to do", failure.Message);
        Assert.False(failure.Reason is FailureReason.None or FailureReason.Internal);
    }

    [Fact]
    public void A_failure_that_has_its_reason_already_stays_as_it_is()
    {
        var failure = new MigrationException(FailureReason.NoSpace, "x");
        Assert.Same(failure, FailureTranslation.Translate(failure));
    }

    [Fact]
    public void A_cancelled_call_is_told_as_cancelled_and_anything_else_as_a_fault_of_ours()
    {
        Assert.Equal(FailureReason.Cancelled, FailureTranslation.Translate(new TaskCanceledException()).Reason);
        var fault = FailureTranslation.Translate(new InvalidCastException("odd"));
        Assert.Equal(FailureReason.Internal, fault.Reason);
        Assert.Contains("InvalidCastException", fault.Message, StringComparison.Ordinal);
    }
}
