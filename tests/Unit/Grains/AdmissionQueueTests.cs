using CsCheck;
using DistMigrate.Contracts;
using DistMigrate.Grains;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class AdmissionQueueTests
{
    private static readonly DateTimeOffset Moment = DateTimeOffset.UnixEpoch;
    private static readonly PlaceKind[] Kinds = [PlaceKind.Outgoing, PlaceKind.Incoming, PlaceKind.Storage];

    private static readonly Gen<(int[] Limits, (int Step, int Kind, int Id, int Guest, int Image)[] Steps)> GenHistory =
        from limits in Gen.Int[1, 3].Array[3]
        from steps in Gen.Select(Gen.Int[0, 7], Gen.Int[0, 2], Gen.Int[0, 14], Gen.Int[0, 5], Gen.Int[0, 5]).Array[0, 80]
        select (limits, steps);

    [Fact]
    public void Every_history_keeps_the_order_and_the_limits_and_one_migration_per_guest_and_image() =>
        GenHistory.Sample(history =>
        {
            var queue = new AdmissionQueue();
            var model = Kinds.ToDictionary(kind => kind, _ => (Held: new List<string>(), Waiting: new List<string>()));
            HashSet<string> parked = [];
            foreach (var (step, kindNumber, number, guest, image) in history.Steps)
            {
                var kind = (PlaceKind)kindNumber;
                var spec = Spec($"m{number}", $"g{guest}", $"/i{image}");
                switch (step)
                {
                    case 0:
                        Assert.Equal(model.Values.Any(places => places.Held.Remove(spec.Id) | places.Waiting.Remove(spec.Id)), queue.Remove(spec.Id) >= 0);
                        parked.Remove(spec.Id);
                        break;
                    case 1 or 2:
                        var admitted = queue.Admit(place => history.Limits[(int)place], Moment).Select(other => other.Id).ToArray();
                        var expected = new HashSet<string>();
                        foreach (var (place, (held, waiting)) in model)
                        {
                            while (waiting.Count > 0 && held.Count(id => !parked.Contains(id)) < history.Limits[(int)place])
                            {
                                expected.Add(waiting[0]);
                                held.Add(waiting[0]);
                                waiting.RemoveAt(0);
                            }
                        }

                        Assert.True(expected.SetEquals(admitted));
                        Assert.Equal(expected.Count, admitted.Length);
                        break;
                    case 3:
                        if (queue.Find(spec.Id) is not { IsHeld: true })
                            break;
                        queue.Park(spec.Id, isParked: guest > 2);
                        parked.Remove(spec.Id);
                        if (guest > 2)
                            parked.Add(spec.Id);
                        break;
                    default:
                        var isKnown = queue.Find(spec.Id) is not null;
                        var isFree = kind == PlaceKind.Storage || queue.Places.All(
                            other => other.Spec.Request.Guest != spec.Request.Guest && other.Spec.Request.ImagePath != spec.Request.ImagePath);
                        if (isKnown || isFree)
                            queue.Add(spec, kind, Moment);
                        else
                            Assert.True(Assert.Throws<MigrationException>(() => queue.Add(spec, kind, Moment)).Reason is FailureReason.GuestBusy or FailureReason.ImageBusy);
                        if (!isKnown && isFree)
                            model[kind].Waiting.Add(spec.Id);
                        break;
                }

                Assert.Distinct(queue.Places.Select(place => place.Spec.Id));
                var shown = queue.List();
                foreach (var (place, (held, waiting)) in model)
                {
                    Assert.Equal(held, shown.Where(entry => entry.Place == place && entry.Position == 0).Select(entry => entry.Id));
                    Assert.Equal(waiting, shown.Where(entry => entry.Place == place && entry.Position > 0).Select(entry => entry.Id));
                    Assert.All(waiting.Index(), item => Assert.Equal(item.Index + 1, queue.PositionOf(item.Item)));
                    Assert.All(held, id => Assert.Equal(0, queue.PositionOf(id)));
                    Assert.Equal(held.Where(parked.Contains), shown.Where(entry => entry.Place == place && entry.IsParked).Select(entry => entry.Id));
                }

                Assert.All(shown, entry => Assert.Equal(entry.Position, queue.PositionOf(entry.Id)));
            }
        });

    [Fact]
    public void A_refusal_names_the_migration_that_is_in_the_way_in_either_direction()
    {
        var queue = new AdmissionQueue();
        queue.Add(Spec("m1", "g1", "/i1"), PlaceKind.Outgoing, Moment);
        foreach (var kind in new[] { PlaceKind.Outgoing, PlaceKind.Incoming })
        {
            var guest = Assert.Throws<MigrationException>(() => queue.Add(Spec("m2", "g1", "/i2"), kind, Moment));
            Assert.Equal(FailureReason.GuestBusy, guest.Reason);
            Assert.Contains("m1", guest.Message, StringComparison.Ordinal);
            var image = Assert.Throws<MigrationException>(() => queue.Add(Spec("m3", "g3", "/i1"), kind, Moment));
            Assert.Equal(FailureReason.ImageBusy, image.Reason);
            Assert.Contains("m1", image.Message, StringComparison.Ordinal);
        }

        Assert.Single(queue.Places);
    }

    [Fact]
    public void Two_restores_may_read_one_image_but_a_save_to_it_waits_for_neither()
    {
        var queue = new AdmissionQueue();
        queue.Add(Spec("m1", "g1", "/i1", MigrationKind.Restore), PlaceKind.Incoming, Moment);
        queue.Add(Spec("m2", "g2", "/i1", MigrationKind.Restore), PlaceKind.Incoming, Moment);
        Assert.Equal(
            FailureReason.ImageBusy, Assert.Throws<MigrationException>(() => queue.Add(Spec("m3", "g3", "/i1"), PlaceKind.Outgoing, Moment)).Reason);
    }

    [Fact]
    public void One_that_is_put_back_waits_where_it_did()
    {
        var queue = new AdmissionQueue();
        string[] ids = ["m1", "m2", "m3"];
        foreach (var id in ids)
            queue.Add(Spec(id, id, $"/{id}"), PlaceKind.Outgoing, Moment);
        var place = queue.Find("m2")!;
        queue.PutBack(place, queue.Remove("m2"));
        Assert.Equal([1, 2, 3], ids.Select(queue.PositionOf));
    }

    private static MigrationSpec Spec(string id, string guest, string image, MigrationKind kind = MigrationKind.Save) =>
        new(id, "host-a", default, new MigrationRequest(kind, guest, "/qmp", image, null, null));
}
