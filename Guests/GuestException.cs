namespace DistMigrate.Guests;

/// <summary>Something about a guest failed. The message says what, why, and what to do.</summary>
/// <param name="fault">The reason, from the closed list.</param>
/// <param name="message">What failed, why, and what to do.</param>
/// <param name="inner">What caused it, if something did.</param>
public sealed class GuestException(GuestFault fault, string message, Exception? inner = null) : Exception(message, inner)
{
    /// <summary>The reason.</summary>
    public GuestFault Fault { get; } = fault;

    /// <summary>The class of a QMP error, such as <c>GenericError</c> or <c>CommandNotFound</c>; null for other faults.</summary>
    public string? QmpClass { get; init; }
}
