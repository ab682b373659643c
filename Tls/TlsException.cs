namespace DistMigrate.Tls;

/// <summary>A file of <see cref="TlsFiles"/> cannot be used; the message names it, why, and what to do.</summary>
/// <param name="message">The message.</param>
/// <param name="innerException">What was thrown at it.</param>
public sealed class TlsException(string message, Exception? innerException = null) : InvalidOperationException(message, innerException);
