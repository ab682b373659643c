namespace DistMigrate.Tests.EndToEnd.Faults;

/// <summary>From when on a save is watched, and so which of its calls come first in each of its threads.</summary>
public enum FaultMoment
{
    /// <summary>Before it begins: the image is made, headers are written, space is reserved, the guest is stopped.</summary>
    Beginning,

    /// <summary>While it copies, and in one of its writer threads alone.</summary>
    Copying,

    /// <summary>When the pages are written: the epoch, the bitmaps, the tail, the manifest, the publication.</summary>
    Finishing,
}
