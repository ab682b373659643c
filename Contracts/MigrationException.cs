namespace DistMigrate.Contracts;

/// <summary>A refusal or failure with a reason of the closed list. Its message says what happened, why, and what to do.</summary>
[GenerateSerializer, Alias("distmigrate.MigrationException")]
public sealed class MigrationException : Exception
{
    /// <summary>Makes one.</summary>
    /// <param name="reason">The member of the closed list.</param>
    /// <param name="message">What, why, what to do.</param>
    /// <param name="innerException">What led to it, for logs.</param>
    public MigrationException(FailureReason reason, string message, Exception? innerException = null)
        : base(message, innerException) => Reason = reason;

    /// <summary>The member of the closed list.</summary>
    [Id(0)]
    public FailureReason Reason { get; private set; }
}
