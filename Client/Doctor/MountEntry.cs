namespace DistMigrate.Client.Doctor;

/// <summary>One mounted file system, a line of /proc/self/mountinfo (proc_pid_mountinfo(5)).</summary>
/// <param name="Device">Its device number, <c>major:minor</c>.</param>
/// <param name="MountPoint">Where it is mounted.</param>
/// <param name="Type">Its type, such as <c>nfs4</c> or <c>fuse.sshfs</c>.</param>
/// <param name="Source">What is mounted, such as <c>server:/export</c> or <c>/dev/sda1</c>.</param>
/// <param name="Options">The options of the mount and those of the file system, each once.</param>
internal sealed record MountEntry(string Device, string MountPoint, string Type, string Source, IReadOnlyList<string> Options)
{
    /// <summary>Whether an option without a value is set.</summary>
    public bool Has(string option) => Options.Contains(option, StringComparer.Ordinal);

    /// <summary>The value of an option; null when it is not set.</summary>
    public string? Value(string option) =>
        Options.FirstOrDefault(o => o.StartsWith(option + "=", StringComparison.Ordinal))?[(option.Length + 1)..];
}
