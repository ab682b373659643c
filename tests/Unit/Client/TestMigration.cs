using DistMigrate.Contracts;

namespace DistMigrate.Tests.Unit.Client;

/// <summary>Makes statuses of a save.</summary>
internal static class TestMigration
{
    public static readonly DateTimeOffset Moment = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    public static MigrationStatus Status(
        MigrationPhase phase = MigrationPhase.Active,
        FailureReason reason = FailureReason.None,
        string message = "",
        long total = 4L << 30,
        long remaining = 1L << 30,
        double rate = 0) => new(
            Spec("m-1", Moment),
            Revision: 7,
            phase,
            reason,
            message,
            Started: Moment,
            Ended: phase.IsEnd() ? Moment.AddSeconds(2.5) : null,
            PhaseSince: Moment,
            QueuePosition: 0,
            new RamCounters(total, total - remaining, remaining, 0, 11, 12, 3),
            rate,
            Downtime: TimeSpan.FromMilliseconds(340),
            GuestState: "paused",
            Notes: ["a note"]);

    public static MigrationSpec Spec(string id, DateTimeOffset submitted) => new(
        id, "host-a", submitted,
        new MigrationRequest(MigrationKind.Save, "web", "/run/web.qmp", "/images/web.img", new SaveOptions(), null));

    public static BlockStatus Block(string name, long length, double done = 0.5, BlockActivity activity = BlockActivity.Iterating, string error = "")
    {
        var pages = length / 4096;
        var written = (long)(pages * done);
        return new BlockStatus(
            name, activity, length, new PageCounts(pages - written, 0, written, 0, 0), written, 0, written * 4096, 0, 1, "shared-file",
            FailureReason.None, error, new WrittenPages(written, 0, 0), 0);
    }
}
