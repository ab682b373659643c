using CsCheck;
using DistMigrate.Contracts;
using DistMigrate.Grains;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class AdmissionQueueTests
{
    private static readonly Gen<(int Limit, (int Kind, int Id, int Guest, int Image)[] Steps)> GenHistory =
        from limit in Gen.Int[1, 3]
        from steps in Gen.Select(Gen.Int[0, 3], Gen.Int[0, 9], Gen.Int[0, 4], Gen.Int[0, 4]).Array[0, 60]
        select (limit, steps);

    [Fact]
    public void Every_history_keeps_the_order_the_limit_and_one_migration_per_guest_and_image() =>
        GenHistory.Sample(history =>
        {
            var queue = new AdmissionQueue();
            List<string> running = [];
            List<string> waiting = [];
            foreach (var (kind, id, guest, image) in history.Steps)
            {
                var spec = Spec($"m{id}", $"g{guest}", $"/i{image}");
                switch (kind)
                {
                    case 0:
                        running.Remove(spec.Id);
                        waiting.Remove(spec.Id);
                        queue.Remove(spec.Id);
                        break;
                    case 1:
                        var next = queue.StartNext(history.Limit);
                        Assert.Equal(running.Count < history.Limit ? waiting.FirstOrDefault() : null, next?.Id);
                        if (next is not null)
                            running.Add(next.Id);
                        waiting.Remove(next?.Id ?? "");
                        break;
                    default:
                        var known = queue.Find(spec.Id) is not null;
                        var all = queue.Running.Concat(queue.Queued).ToArray();
                        var free = all.All(other => other.Request.Guest != spec.Request.Guest && other.Request.ImagePath != spec.Request.ImagePath);
                        if (known || free)
                            queue.Add(spec);
                        else
                            Assert.True(Assert.Throws<MigrationException>(() => queue.Add(spec)).Reason is FailureReason.GuestBusy or FailureReason.ImageBusy);
                        if (!known && free)
                            waiting.Add(spec.Id);
                        break;
                }

                Assert.Equal(running, queue.Running.Select(s => s.Id));
                Assert.Equal(waiting, queue.Queued.Select(s => s.Id));
                Assert.All(waiting.Index(), item => Assert.Equal(item.Index + 1, queue.PositionOf(item.Item)));
                Assert.All(running, item => Assert.Equal(0, queue.PositionOf(item)));
            }
        });

    [Fact]
    public void A_refusal_names_the_migration_that_is_in_the_way()
    {
        var queue = new AdmissionQueue();
        queue.Add(Spec("m1", "g1", "/i1"));
        var guest = Assert.Throws<MigrationException>(() => queue.Add(Spec("m2", "g1", "/i2")));
        Assert.Equal(FailureReason.GuestBusy, guest.Reason);
        Assert.Contains("m1", guest.Message, StringComparison.Ordinal);
        var image = Assert.Throws<MigrationException>(() => queue.Add(Spec("m3", "g3", "/i1")));
        Assert.Equal(FailureReason.ImageBusy, image.Reason);
        Assert.Contains("m1", image.Message, StringComparison.Ordinal);
        Assert.Single(queue.Queued);
    }

    [Fact]
    public void Two_restores_may_read_one_image_but_a_save_to_it_waits_for_neither()
    {
        var queue = new AdmissionQueue();
        queue.Add(Spec("m1", "g1", "/i1", MigrationKind.Restore));
        queue.Add(Spec("m2", "g2", "/i1", MigrationKind.Restore));
        Assert.Equal(FailureReason.ImageBusy, Assert.Throws<MigrationException>(() => queue.Add(Spec("m3", "g3", "/i1"))).Reason);
    }

    [Fact]
    public void A_migration_that_is_known_is_taken_in_once()
    {
        var queue = new AdmissionQueue();
        queue.Add(Spec("m1", "g1", "/i1"));
        queue.StartNext(1);
        queue.Add(Spec("m1", "g1", "/i1"));
        Assert.Empty(queue.Queued);
        Assert.True(queue.Remove("m1"));
        Assert.False(queue.Remove("m1"));
    }

    private static MigrationSpec Spec(string id, string guest, string image, MigrationKind kind = MigrationKind.Save) =>
        new(id, "host-a", default, new MigrationRequest(kind, guest, "/qmp", image, null, null));
}
