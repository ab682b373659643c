using DistMigrate.Transfer;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class ClaimRegisterTests : IDisposable
{
    private const string Here = "host-a";

    private static readonly Guid ImageId = Guid.NewGuid();

    private int _migrations;
    private readonly TestFolder _folder = new();
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    private string Image => _folder["guest.image"];

    private static ProcessIdentity Living { get; } = ThisProcess.Identity(Here);

    private static ProcessIdentity Dead { get; } = Living with { StartTime = Living.StartTime - 1 };

    [Fact]
    public void The_first_taker_gets_number_one_and_its_claim_stands_beside_the_image()
    {
        var claim = Take(Living, migration: "mig");
        Assert.Equal((1, ImageId, "vm1", "mig", Living, _time.GetUtcNow()), (claim.Number, claim.ImageId, claim.Guest, claim.Migration, claim.Holder, claim.Taken));
        Assert.Equal(claim, SideFile.Read(Image + ".claim.1", TransferJson.Default.Claim));
        Assert.Equal([Image + ".claim.1"], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void The_same_migration_and_holder_again_get_the_claim_that_they_have()
    {
        var claim = Take(Living, migration: "mig");
        Assert.Equal(claim, Take(Living, migration: "mig"));
        Assert.Equal([Image + ".claim.1"], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_second_taker_is_refused_with_the_name_of_the_holder()
    {
        Take(Living, migration: "mig");
        var error = Assert.Throws<ImageException>(() => Take(Living));
        Assert.Equal(ImageFault.ClaimHeld, error.Fault);
        Assert.Contains($"process {Living.Pid} on host {Here} holds claim 1 since 2026-01-02 03:04:05Z (migration mig)", error.Message, StringComparison.Ordinal);
        Assert.Contains("--ignore-claim", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_holder_of_another_host_is_never_taken_for_dead()
    {
        Take(Dead with { Host = "host-b" });
        Assert.Equal(ImageFault.ClaimHeld, Refused(() => Take(Living)));
    }

    [Fact]
    public void A_holder_of_this_host_that_has_ended_is_released_and_the_next_number_taken()
    {
        Take(Dead);
        Assert.Equal(2, Take(Living).Number);
        var release = SideFile.Read(Image + ".claim.1.released", TransferJson.Default.ClaimRelease);
        Assert.Equal((1, $"QEMU process {Dead.Pid} on {Here} has ended."), (release!.Number, release.Why));
    }

    [Fact]
    public void A_release_record_frees_the_claim_of_any_host()
    {
        Take(Living with { Host = "host-b" });
        _folder.Write("guest.image.claim.1.released", "{}");
        Assert.Equal(2, Take(Living).Number);
    }

    [Fact]
    public void A_claim_of_an_older_image_of_the_same_name_does_not_count()
    {
        Take(Living, Guid.NewGuid());
        Assert.Equal(2, Take(Living).Number);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_manifest_that_was_removed_or_came_later_frees_no_claim(bool removed)
    {
        Take(Living, removed ? ImageId : Guid.Empty);
        Assert.Equal(ImageFault.ClaimHeld, Refused(() => Take(Living, removed ? Guid.Empty : ImageId)));
    }

    [Fact]
    public void Who_ignores_the_holder_takes_the_next_number()
    {
        Take(Living);
        Assert.Equal(2, Take(Living, ignoreHolder: true).Number);
        Assert.Equal(3, Take(Living, ignoreHolder: true).Number);
    }

    [Fact]
    public void The_highest_number_counts_not_the_last_one_in_the_alphabet()
    {
        for (var i = 1; i <= 11; i++)
            Assert.Equal(i, Take(Living, ignoreHolder: true).Number);
        _folder.Write("guest.image.claim.11.released", "{}");
        Assert.Equal(12, Take(Living).Number);
    }

    [Theory]
    [InlineData("")]
    [InlineData("{}")]
    [InlineData("null")]
    [InlineData("""{"number":1,"image-id":"00000000-0000-0000-0000-000000000000"}""")]
    public void A_damaged_claim_is_refused_and_not_passed_over(string damaged)
    {
        _folder.Write("guest.image.claim.1", damaged);
        Assert.Equal(ImageFault.Malformed, Refused(() => Take(Living)));
        Assert.Equal(2, Take(Living, ignoreHolder: true).Number);
    }

    [Fact]
    public void Claims_of_other_images_and_other_files_are_passed_over()
    {
        _folder.Write("other.image.claim.7", "{}");
        _folder.Write("guest.image.claim.x", "{}");
        _folder.Write("guest.image.claim.1.0123456789abcdef", "{}");
        _folder.Write("guest.image.claim.-3", "{}");
        Assert.Equal(1, Take(Living).Number);
    }

    [Fact]
    public void An_image_with_a_star_in_its_name_has_claims_of_its_own()
    {
        _folder.Write("guest2.claim.7", "{}");
        Assert.Equal(1, new ClaimRegister(_folder["guest*"], Here, _time).Take(ImageId, "vm1", "mig", Living, ignoreHolder: false).Number);
    }

    [Fact]
    public void Of_many_takers_at_once_exactly_one_wins()
    {
        for (var round = 0; round < 10; round++)
        {
            var image = _folder[$"image{round}"];
            var held = 0;
            var won = Enumerable.Range(0, 8).AsParallel().WithDegreeOfParallelism(8).Select(i =>
            {
                try
                {
                    return new ClaimRegister(image, Here, _time).Take(ImageId, "vm1", $"mig{i}", Living, ignoreHolder: false);
                }
                catch (ImageException e) when (e.Fault == ImageFault.ClaimHeld)
                {
                    Interlocked.Increment(ref held);
                    return null;
                }
            }).Where(claim => claim is not null).ToArray();
            Assert.Equal((1, 7), (won.Length, held));
            Assert.Equal(won[0], SideFile.Read(image + ".claim.1", TransferJson.Default.Claim));
        }
    }

    [Fact]
    public void Of_many_that_follow_a_dead_holder_exactly_one_wins()
    {
        for (var round = 0; round < 10; round++)
        {
            var image = _folder[$"image{round}"];
            new ClaimRegister(image, Here, _time).Take(ImageId, "vm1", "mig", Dead, ignoreHolder: false);
            var won = Enumerable.Range(0, 6).AsParallel().WithDegreeOfParallelism(6).Count(i =>
            {
                try
                {
                    return new ClaimRegister(image, Here, _time).Take(ImageId, "vm1", $"mig{i}", Living, ignoreHolder: false).Number == 2;
                }
                catch (ImageException e) when (e.Fault == ImageFault.ClaimHeld)
                {
                    return false;
                }
            });
            Assert.Equal(1, won);
            Assert.False(File.Exists(image + ".claim.3"));
        }
    }

    public void Dispose() => _folder.Dispose();

    private static ImageFault Refused(Action action) => Assert.Throws<ImageException>(action).Fault;

    /// <summary>Takes a claim for a migration of its own, unless one is named.</summary>
    private Claim Take(ProcessIdentity holder, Guid? imageId = null, bool ignoreHolder = false, string? migration = null) =>
        new ClaimRegister(Image, Here, _time).Take(imageId ?? ImageId, "vm1", migration ?? $"mig-{++_migrations}", holder, ignoreHolder);
}
