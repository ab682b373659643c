using System.Diagnostics;
using System.Globalization;
using System.Text;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.Lab;

/// <summary>A mount namespace in which one folder of the machine is another one. A process holds it, which ends with the belongings.</summary>
public sealed class PrivateMount
{
    private readonly string _namespace;

    private PrivateMount(int holder) => _namespace = string.Create(CultureInfo.InvariantCulture, $"/proc/{holder}/ns/mnt");

    /// <summary>Makes one.</summary>
    /// <param name="belongings">Where it is written down.</param>
    /// <param name="path">The folder, which is there.</param>
    /// <param name="other">What is seen in its place; an empty one when null.</param>
    public static async Task<PrivateMount> MakeAsync(Belongings belongings, string path, string? other = null)
    {
        ArgumentNullException.ThrowIfNull(belongings);
        var messages = new StringBuilder();
        using var holder = StorageProgram.Serve(messages, "unshare", "--mount", "--propagation", "private", "sleep", "infinity");
        belongings.AddProcess(holder.Id);
        var made = new PrivateMount(holder.Id);
        var own = Target("/proc/self/ns/mnt");
        await Wait.UntilAsync(() => Target(made._namespace) != own, "there is a mount namespace", details: messages.ToString);
        string[] mount = other is null ? ["mount", "-t", "tmpfs", "distmigrate-test", path] : ["mount", "--bind", other, path];
        await StorageProgram.RunAsync("nsenter", [$"--mount={made._namespace}", .. mount]);
        return made;
    }

    /// <summary>Lets a program that is about to be started run there; its pid is that of the program itself.</summary>
    public void Take(ProcessStartInfo start) => Namespaces.Enter(start, $"--mount={_namespace}");

    private static string? Target(string link) => new FileInfo(link).LinkTarget;
}
