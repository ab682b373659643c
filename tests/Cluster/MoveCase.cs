using System.Globalization;

namespace DistMigrate.Tests.Cluster;

/// <summary>What happens to a cluster while a guest goes from host-a to host-b.</summary>
internal enum MoveFault
{
    /// <summary>The source's silo is killed, and started again after a moment, as by systemd.</summary>
    KillsSource,

    /// <summary>The same of the target's.</summary>
    KillsTarget,

    /// <summary>The same of a host that has nothing to do with it, other than that the coordinator may be there.</summary>
    KillsOther,

    /// <summary>Source's and target's at once.</summary>
    KillsBoth,

    /// <summary>All three at once.</summary>
    KillsAll,

    /// <summary>The target's silo is killed, and started only after it has been decided who runs the guest.</summary>
    KillsTargetForLong,

    /// <summary>The uninvolved host's silo is killed, and started only after the migration has ended.</summary>
    KillsOtherForLong,

    /// <summary>Redis is killed, and started again after a moment.</summary>
    StopsRedis,

    /// <summary>The same, and what Redis was told last is lost.</summary>
    LosesOfRedis,

    /// <summary>The source's network is cut, and healed.</summary>
    CutsSource,

    /// <summary>The target's.</summary>
    CutsTarget,

    /// <summary>That of the uninvolved host.</summary>
    CutsOther,
}

/// <summary>What has happened when the time to the fault begins to run, in the order in which it happens.</summary>
internal enum MoveMark
{
    /// <summary>It waits for a place that another migration of its host holds.</summary>
    Queued,

    /// <summary>A QEMU waits on the target.</summary>
    Prepared,

    /// <summary>The partial image is there.</summary>
    Created,

    /// <summary>The guest has been stopped and its pages are being written.</summary>
    Active,

    /// <summary>The checksums of the finished image are being written.</summary>
    Device,

    /// <summary>The image is published.</summary>
    Published,

    /// <summary>It has been for a while.</summary>
    Restoring,

    /// <summary>The target has the claim.</summary>
    Claimed,

    /// <summary>The guest has printed something on the target.</summary>
    RunsThere,
}

/// <summary>One move, and the fault that it meets.</summary>
/// <param name="Fault">The fault.</param>
/// <param name="Mark">What has happened when the time to the fault begins to run.</param>
/// <param name="Delay">The time to the fault.</param>
/// <param name="Pause">How long it lasts, if it does not last to the end.</param>
/// <param name="KeepsImage">Whether the image is kept.</param>
/// <param name="Adopts">Whether, when nobody can tell, the guest is to run on the source whatever it did on the target.</param>
internal sealed record MoveCase(MoveFault Fault, MoveMark Mark, TimeSpan Delay, TimeSpan Pause, bool KeepsImage, bool Adopts)
{
    /// <summary>A case whose times are random.</summary>
    public static MoveCase Of(MoveFault fault, MoveMark mark, Random random) => new(
        fault,
        mark,
        mark switch
        {
            MoveMark.Active => TimeSpan.FromSeconds(2 * random.NextDouble()),
            MoveMark.Restoring => TimeSpan.FromMilliseconds(100 + (700 * random.NextDouble())),

            // Most often a moment, so that what comes next is met as well as what takes long.
            _ => TimeSpan.FromMilliseconds(Math.Pow(10, 2.3 * random.NextDouble()) - 1),
        },
        TimeSpan.FromSeconds(fault is MoveFault.CutsSource or MoveFault.CutsTarget or MoveFault.CutsOther ? 1 + (14 * random.NextDouble()) : 0.1 + (2 * random.NextDouble())),
        KeepsImage: random.Next(2) == 0,
        Adopts: random.Next(2) == 0);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture,
        $"{Fault} {Delay.TotalMilliseconds:0} ms after {Mark}, for {Pause.TotalSeconds:0.0} s{(KeepsImage ? ", image kept" : "")}{(Adopts ? ", adopts" : "")}");
}

/// <summary>What became of a case.</summary>
/// <param name="Met">How far the move was when the fault came, as its files tell.</param>
/// <param name="Phase">The phase in which the move ended.</param>
/// <param name="Host">The host on which the guest runs.</param>
/// <param name="Notes">What else is to be seen in the table.</param>
internal sealed record MoveOutcome(string Met, string Phase, string Host, string Notes);
