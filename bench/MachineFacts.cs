using System.Globalization;
using System.Runtime.InteropServices;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>What the figures depend on beside the code.</summary>
internal static class MachineFacts
{
    public static string Describe(string folder) => string.Create(CultureInfo.InvariantCulture, $"""
        ## Machine

        - CPU: {Environment.ProcessorCount} x {CpuModel()}
        - memory: {MemoryGiB():0.0} GiB; load average {LoadAverage()}
        - kernel: {File.ReadAllText("/proc/sys/kernel/osrelease").Trim()}
        - storage: {Mount(folder)}
        - QEMU: {FirstLine(LabPrograms.Qemu, "--version")}; {FirstLine("fio", "--version")}
        - .NET: {RuntimeInformation.FrameworkDescription}
        - commit: {Commit()}

        """);

    private static string CpuModel() =>
        File.ReadLines("/proc/cpuinfo").FirstOrDefault(line => line.StartsWith("model name", StringComparison.Ordinal)) is { } line
            ? line[(line.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim()
            : RuntimeInformation.ProcessArchitecture.ToString();

    private static double MemoryGiB() => GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / (double)(1 << 30);

    private static string LoadAverage() => string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ').Take(3));

    /// <summary>Device, file system and options of the mount that holds the folder.</summary>
    private static string Mount(string folder)
    {
        var mount = File.ReadLines("/proc/self/mounts").Select(line => line.Split(' '))
            .Where(words => words[1] == "/" || folder == words[1] || folder.StartsWith(words[1] + "/", StringComparison.Ordinal))
            .MaxBy(words => words[1].Length)!;
        var device = Path.GetFileName(mount[0]);
        var model = $"/sys/block/{device}/device/model";
        return $"{mount[2]} on {mount[0]}{(File.Exists(model) ? $" ({File.ReadAllText(model).Trim()})" : "")}, {mount[3]}";
    }

    private static string Commit()
    {
        try
        {
            var commit = FirstLine("git", "-C", AppContext.BaseDirectory, "rev-parse", "--short", "HEAD");
            var isClean = FirstLine("git", "-C", AppContext.BaseDirectory, "status", "--porcelain").Length == 0;
            return commit + (isClean ? "" : ", with changes");
        }
        catch (InvalidOperationException)
        {
            return "none";
        }
    }

#pragma warning disable VSTHRD002 // Before anything else runs, and without a synchronisation context.
    private static string FirstLine(string program, params string[] arguments) =>
        Programs.RunAsync(program, arguments, CancellationToken.None).GetAwaiter().GetResult().Output.Split('\n')[0];
#pragma warning restore VSTHRD002
}
