using DistMigrate.Posix;
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

    [Fact]
    public void The_claim_in_force_is_the_last_one_unless_it_is_released()
    {
        Assert.Null(Register.Current(ImageId));
        var first = Take(Living);
        Assert.Equal(first, Register.Current(ImageId));
        Assert.Equal(first, Register.Current());
        Assert.Null(Register.Current(Guid.NewGuid()));
        var second = Take(Living, ignoreHolder: true);
        Assert.Equal(second, Register.Current(ImageId));
        Register.Release(second, "its QEMU is gone");
        Assert.Null(Register.Current(ImageId));
    }

    [Fact]
    public void A_released_claim_frees_the_next_number_for_any_host_and_is_not_given_again()
    {
        var holder = Living with { Host = "host-b" };
        var claim = Take(holder, migration: "mig");
        Register.Release(claim, "its QEMU is gone");
        Register.Release(claim, "once more");
        Assert.Equal((1, _time.GetUtcNow(), "its QEMU is gone"), SideFile.Read(Image + ".claim.1.released", TransferJson.Default.ClaimRelease) is var (n, at, why) ? (n, at, why) : default);
        Assert.Equal(2, Take(holder, migration: "mig").Number);
    }

    [Fact]
    public void Nobody_releases_the_claim_of_another()
    {
        var claim = Take(Living, migration: "mig");
        var error = Assert.Throws<ImageException>(() => Register.Release(claim with { Token = Guid.NewGuid() }, "mine"));
        Assert.Equal(ImageFault.ClaimHeld, error.Fault);
        Assert.Contains($"process {Living.Pid} on host {Here} holds claim 1", error.Message, StringComparison.Ordinal);
        Assert.Equal(claim, Register.Current(ImageId));
    }

    [Fact]
    public void To_release_a_claim_that_was_removed_with_its_image_leaves_nothing()
    {
        var claim = Take(Living);
        File.Delete(Image + ".claim.1");
        Register.Release(claim, "late");
        Assert.Empty(Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_release_that_is_left_alone_does_not_release_the_next_claim()
    {
        _folder.Write("guest.image.claim.1.released", "{}");
        Assert.Equal(2, Take(Living).Number);
        Assert.NotNull(Register.Current(ImageId));
    }

    [Fact]
    public void A_claim_is_superseded_by_any_higher_number_also_a_damaged_one()
    {
        var claim = Take(Living);
        Assert.False(Register.IsSuperseded(claim));
        _folder.Write("guest.image.claim.2", "");
        Assert.True(Register.IsSuperseded(claim));
    }

    [Fact]
    public void Who_ignores_the_holder_and_asks_again_gets_the_claim_that_he_has()
    {
        Take(Living);
        var claim = Take(Living, ignoreHolder: true, migration: "mig");
        Assert.Equal(claim, Take(Living, ignoreHolder: true, migration: "mig"));
    }

    [Fact]
    public void The_list_has_all_claims_in_order_with_what_is_wrong_with_them()
    {
        for (var i = 0; i < 10; i++)
            Take(Living, ignoreHolder: true);
        Register.Release(Take(Living, ignoreHolder: true), "its QEMU is gone");
        _folder.Write("guest.image.claim.3", "x");
        _folder.Write("guest.image.claim.4.released", "");
        var list = Register.List();
        Assert.Equal(Enumerable.Range(1, 11), list.Select(standing => standing.Number));
        Assert.Equal([4, 11], list.Where(standing => standing.IsReleased).Select(standing => standing.Number));
        Assert.Equal("its QEMU is gone", list[10].Release?.Why);
        Assert.Equal([3], list.Where(standing => standing.Claim is null).Select(standing => standing.Number));
        Assert.Equal([3, 4], list.Where(standing => standing.Damage is not null).Select(standing => standing.Number));
        Assert.Contains(Image + ".claim.3", list[2].Damage, StringComparison.Ordinal);
    }

    [Fact]
    public void A_claim_with_any_byte_cut_or_flipped_is_held_and_its_file_named()
    {
        // The holder has ended, so that only the damage can keep the claim.
        Take(Dead);
        var path = Image + ".claim.1";
        var good = File.ReadAllBytes(path);
        for (var i = 0; i < good.Length; i++)
        {
            Assert.Contains(path, Refusal(good[..i]), StringComparison.Ordinal);
            if (!char.IsWhiteSpace((char)good[i]))
                Assert.Contains(path, Refusal([.. good[..i], (byte)(good[i] ^ 1), .. good[(i + 1)..]]), StringComparison.Ordinal);
        }

        string Refusal(byte[] content)
        {
            File.WriteAllBytes(path, content);
            var error = Assert.Throws<ImageException>(() => Take(Living));
            Assert.Equal(ImageFault.Malformed, error.Fault);
            Assert.Equal(error.Message, Assert.Throws<ImageException>(() => Register.Current(ImageId)).Message);
            return error.Message;
        }
    }

    [Fact]
    public void Where_there_are_no_second_names_a_claim_whose_write_fails_half_way_is_not_left()
    {
        var storage = new ModelStorage(new Random(1));
        var writes = 0;
        storage.Fault = call => call == "link" ? Errno.EOPNOTSUPP : call == "pwrite" && ++writes == 2 ? Errno.EIO : Errno.None;
        Assert.Equal(ImageFault.Storage, Refused(() => TakeFrom(storage, "a")));
        Assert.Empty(storage.Names);
        Assert.Equal((1, "b"), TakeFrom(storage, "b") is var claim ? (claim.Number, claim.Migration) : default);
    }

    [Fact]
    public void A_claim_whose_write_fails_half_way_and_that_cannot_be_removed_is_held()
    {
        var storage = new ModelStorage(new Random(1));
        var writes = 0;
        storage.Fault = call => call == "link" ? Errno.EOPNOTSUPP
            : call is "pwrite" && ++writes == 2 ? Errno.EIO
            : call == "unlink" && writes == 2 ? Errno.EIO
            : Errno.None;
        Assert.Equal(ImageFault.Storage, Refused(() => TakeFrom(storage, "a")));
        storage.Fault = _ => Errno.None;
        var error = Assert.Throws<ImageException>(() => TakeFrom(storage, "b"));
        Assert.Equal(ImageFault.Malformed, error.Fault);
        Assert.Contains("guest.image.claim.1", error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void However_the_storage_fails_one_at_most_has_a_number_and_a_power_cut_takes_it_from_nobody(bool losesAnswers)
    {
        var taken = 0;
        for (var seed = 0; seed < 400; seed++)
        {
            var random = new Random(seed);
            var storage = new ModelStorage(random) { LosesAnswers = losesAnswers };
            var hasNames = random.Next(3) > 0;
            storage.Fault = call => call == "link" && !hasNames ? Errno.EOPNOTSUPP : random.Next(6) == 0 ? Errno.ETIMEDOUT : Errno.None;
            var holders = new Dictionary<int, Claim>();
            for (var turn = 0; turn < 12; turn++)
            {
                try
                {
                    var claim = TakeFrom(storage, $"mig{random.Next(3)}");
                    Assert.True(holders.TryAdd(claim.Number, claim) || holders[claim.Number] == claim, $"seed {seed}: claim {claim.Number} was given twice.");
                }
                catch (ImageException)
                {
                    // Held by another, or the storage failed.
                }
            }

            storage.Fault = _ => Errno.None;
            storage.Crash();
            Assert.All(holders.Values, claim => Assert.Equal(claim, SideFile.Read($"guest.image.claim.{claim.Number}", TransferJson.Default.Claim, storage)));
            Assert.InRange(holders.Count, 0, 1);
            taken += holders.Count;
        }

        Assert.InRange(taken, 100, 400);
    }

    public void Dispose() => _folder.Dispose();

    private ClaimRegister Register => new(Image, Here, _time);

    /// <summary>By a QEMU of another host, which nobody here takes for dead.</summary>
    private Claim TakeFrom(ModelStorage storage, string migration) =>
        new ClaimRegister("guest.image", Here, _time, storage).Take(ImageId, "vm1", migration, Living with { Host = "host-b" }, ignoreHolder: false);

    private static ImageFault Refused(Action action) => Assert.Throws<ImageException>(action).Fault;

    /// <summary>Takes a claim for a migration of its own, unless one is named.</summary>
    private Claim Take(ProcessIdentity holder, Guid? imageId = null, bool ignoreHolder = false, string? migration = null) =>
        new ClaimRegister(Image, Here, _time).Take(imageId ?? ImageId, "vm1", migration ?? $"mig-{++_migrations}", holder, ignoreHolder);
}
