namespace DistMigrate.Client;

/// <summary>The exit codes of the command. They are documented for scripts, so a meaning never changes.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Ok = 0;

    /// <summary>Failed; the guest is as it was.</summary>
    public const int Failed = 1;

    /// <summary>The command line or a setting makes no sense.</summary>
    public const int Usage = 2;

    /// <summary>A check before anything was touched said no.</summary>
    public const int Refused = 3;

    /// <summary>Not complete, and the work done is kept.</summary>
    public const int Resumable = 4;

    /// <summary>Cancelled.</summary>
    public const int Cancelled = 5;

    /// <summary>No such migration, guest or image.</summary>
    public const int NotFound = 6;

    /// <summary>Guest, image or claim is held by somebody else.</summary>
    public const int Busy = 7;

    /// <summary>An image is malformed or is not one.</summary>
    public const int Malformed = 8;

    /// <summary>No silo answers.</summary>
    public const int Unreachable = 9;

    /// <summary>The storage refused or failed.</summary>
    public const int Storage = 10;

    /// <summary>The guest changes its memory too fast.</summary>
    public const int NotConverging = 11;

    /// <summary>Nobody can tell who runs the guest; a person decides.</summary>
    public const int NeedsAttention = 12;

    /// <summary>The time limit of waiting has passed; the migration goes on.</summary>
    public const int TimedOut = 124;

    /// <summary>Ctrl-C: the command stopped waiting; the migration goes on.</summary>
    public const int Detached = 130;
}
