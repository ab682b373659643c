namespace DistMigrate.Tests.Lab;

/// <summary>QEMU refused a command.</summary>
/// <param name="command">The QMP command.</param>
/// <param name="errorClass">QMP's error class, for example GenericError.</param>
/// <param name="description">QMP's description.</param>
public sealed class MonitorException(string command, string errorClass, string description)
    : Exception($"QEMU refused {command}: {description} ({errorClass})")
{
    /// <summary>QMP's error class.</summary>
    public string ErrorClass { get; } = errorClass;

    /// <summary>QMP's description.</summary>
    public string Description { get; } = description;
}
