using DistMigrate.Contracts;

namespace DistMigrate.Client.Commands;

/// <summary>What the client can add where a silo's message cannot say what to do.</summary>
internal static class FailureHints
{
    public static string? Of(FailureReason reason) => reason switch
    {
        FailureReason.OutsideStorageRoots => "'distmigrate status' shows the host's storage roots",
        FailureReason.SiloRestarted => "when it came up, the silo gave every guest that it had stopped its run state back; run the command again",
        FailureReason.Internal => "the host's silo.log has the details; please report them",
        _ => null,
    };
}
