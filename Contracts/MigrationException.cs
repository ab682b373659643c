namespace DistMigrate.Contracts;

/// <summary>A refusal or failure with a reason of the closed list. Its message says what happened, why, and what to do.</summary>
[GenerateSerializer, Alias("distmigrate.MigrationException")]
public sealed class MigrationException : Exception
{
    /// <summary>Makes one.</summary>
    /// <param name="reason">The member of the closed list.</param>
    /// <param name="message">What, why, what to do.</param>
    /// <remarks>It has no inner exception: that would have to cross the wire too. Who makes one of another logs that.</remarks>
    public MigrationException(FailureReason reason, string message) : base(message) => Reason = reason;

    /// <summary>The member of the closed list.</summary>
    [Id(0)]
    public FailureReason Reason { get; private set; }
}
