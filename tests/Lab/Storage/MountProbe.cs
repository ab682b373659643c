namespace DistMigrate.Tests.Lab.Storage;

/// <summary>Tells when a mount takes files.</summary>
internal static class MountProbe
{
    /// <summary>Waits until a small file can be written.</summary>
    /// <param name="folder">The mount.</param>
    /// <param name="type">Its type, as /proc/self/mounts has it: before it is mounted it is an ordinary folder.</param>
    /// <param name="messages">Adds what is known to the message when the limit passes.</param>
    public static Task WaitAsync(string folder, string type, Func<string> messages)
    {
        var probe = Path.Combine(folder, ".probe");
        string? fault = null;
        return Wait.UntilAsync(
            () =>
            {
                if (!File.ReadAllText("/proc/self/mounts").Contains($" {folder} {type} ", StringComparison.Ordinal))
                {
                    return false;
                }

                try
                {
                    File.WriteAllText(probe, "probe");
                    File.Delete(probe);
                    return true;
                }
                catch (IOException exception)
                {
                    fault = exception.Message;
                    return false;
                }
            },
            $"{folder} takes files",
            details: () => $"{fault} {messages()}");
    }
}
