using DistMigrate.Contracts;

namespace DistMigrate.Grains;

/// <summary>Which migrations of a host run and which wait, in the order they came. One per guest and one per image at a time.</summary>
[GenerateSerializer, Alias("distmigrate.AdmissionQueue")]
internal sealed class AdmissionQueue
{
    [Id(0)] private readonly List<MigrationSpec> _running = [];
    [Id(1)] private readonly List<MigrationSpec> _queued = [];

    /// <summary>Those that run, oldest first.</summary>
    public IReadOnlyList<MigrationSpec> Running => _running;

    /// <summary>Those that wait, the next one first.</summary>
    public IReadOnlyList<MigrationSpec> Queued => _queued;

    /// <summary>Takes a migration in.</summary>
    /// <exception cref="MigrationException">Another one works on that guest or writes that image.</exception>
    public void Add(MigrationSpec spec)
    {
        if (Find(spec.Id) is not null)
            return;
        foreach (var other in _running.Concat(_queued))
        {
            if (other.Request.Guest == spec.Request.Guest)
            {
                throw new MigrationException(FailureReason.GuestBusy,
                    $"Migration {other.Id} works on guest {spec.Request.Guest} already. Wait for it, or 'distmigrate cancel {other.Id}'.");
            }

            if (other.Request.ImagePath == spec.Request.ImagePath && (other.Request.Kind == MigrationKind.Save || spec.Request.Kind == MigrationKind.Save))
            {
                throw new MigrationException(FailureReason.ImageBusy,
                    $"Migration {other.Id} (guest {other.Request.Guest}) uses {spec.Request.ImagePath} already. Wait for it, or choose another image.");
            }
        }

        _queued.Add(spec);
    }

    /// <summary>Moves the next one to the running, where the limit allows.</summary>
    public MigrationSpec? StartNext(int maxRunning)
    {
        if (_queued.Count == 0 || _running.Count >= maxRunning)
            return null;
        var next = _queued[0];
        _queued.RemoveAt(0);
        _running.Add(next);
        return next;
    }

    /// <summary>Takes a migration out.</summary>
    /// <returns>Whether it was there.</returns>
    public bool Remove(string id) => _running.RemoveAll(spec => spec.Id == id) + _queued.RemoveAll(spec => spec.Id == id) > 0;

    /// <summary>Puts one back that was taken out of those that wait.</summary>
    public void PutBack(MigrationSpec spec, int position) => _queued.Insert(Math.Min(position - 1, _queued.Count), spec);

    /// <summary>Its position, 1 for the next to start; 0 when it does not wait.</summary>
    public int PositionOf(string id) => _queued.FindIndex(spec => spec.Id == id) + 1;

    /// <summary>A migration that runs or waits.</summary>
    public MigrationSpec? Find(string id) => _running.Concat(_queued).FirstOrDefault(spec => spec.Id == id);
}
