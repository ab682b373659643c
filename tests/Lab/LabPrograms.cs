using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using DistMigrate.Tests.Lab.Storage;

namespace DistMigrate.Tests.Lab;

/// <summary>The programs and files of this machine that the Lab uses, and what is missing of them.</summary>
public static partial class LabPrograms
{
    private const int OldestQemu = 9;
    private const string Remedy = "run eng/require test";

    private static readonly Lazy<string?> QemuFault = new(FindQemuFault);
    private static readonly Lazy<string?> KvmFault = new(FindKvmFault);
    private static readonly Lazy<string> NewestMachineName = new(FindNewestMachine);

    /// <summary>The name or path of the QEMU that the Lab starts.</summary>
    public const string Qemu = "qemu-system-x86_64";

    /// <summary>The name of the browser, as Debian has it.</summary>
    public const string Chromium = "chromium";

    /// <summary>The static busybox of the Linux guest.</summary>
    public const string Busybox = "/bin/busybox";

    /// <summary>True when the environment variable CI asks that nothing is skipped.</summary>
    public static bool IsContinuousIntegration =>
        Environment.GetEnvironmentVariable("CI") is { Length: > 0 } value && value is not ("0" or "false");

    /// <summary>True with DISTMIGRATE_FULL=1, which <c>./test --full</c> sets: every case instead of a seeded part.</summary>
    public static bool IsFull => Environment.GetEnvironmentVariable("DISTMIGRATE_FULL") == "1";

    /// <summary>The kernel's modules for a virtio disk, beside it; those that it has built in are not there.</summary>
    public static string LinuxModules => Path.Combine(Path.GetDirectoryName(LinuxKernel)!, "modules");

    /// <summary>The kernel of the Linux guest, in the user's cache folder, where <c>eng/require test</c> puts it.</summary>
    public static string LinuxKernel
    {
        get
        {
            var cache = Environment.GetEnvironmentVariable("XDG_CACHE_HOME");
            if (string.IsNullOrEmpty(cache))
            {
                cache = Path.Combine(Environment.GetFolderPath(Environment.SpecialFolder.UserProfile), ".cache");
            }

            return Path.Combine(cache, "distmigrate", "linux-guest", "vmlinuz");
        }
    }

    /// <summary>The newest versioned q35 machine of the installed QEMU, for example <c>pc-q35-10.0</c>: never an alias, which would mean another machine after an upgrade.</summary>
    public static string NewestMachine => NewestMachineName.Value;

    /// <summary>Why a test is skipped: with CI set only for what no program that is installed would bring.</summary>
    /// <param name="needs">What the test is about to use.</param>
    public static string? ReasonToSkip(LabNeeds needs) =>
        IsContinuousIntegration ? Missing(needs & LabNeeds.Kvm) : Missing(needs);

    /// <summary>What is missing and what to do about it, in one sentence; null when everything is there.</summary>
    /// <param name="needs">What the caller is about to use.</param>
    public static string? Missing(LabNeeds needs)
    {
        if (needs.HasFlag(LabNeeds.Qemu) && QemuFault.Value is { } fault)
        {
            return fault;
        }

        if (needs.HasFlag(LabNeeds.Nasm) && !IsOnPath("nasm"))
        {
            return $"nasm is not installed: {Remedy}.";
        }

        if (needs.HasFlag(LabNeeds.LinuxFiles) && !File.Exists(Busybox))
        {
            return $"There is no {Busybox}: {Remedy}.";
        }

        if (needs.HasFlag(LabNeeds.LinuxFiles) && !File.Exists(LinuxKernel))
        {
            return $"There is no kernel for the Linux guest at {LinuxKernel}: {Remedy}.";
        }

        if (needs.HasFlag(LabNeeds.Redis) && !IsOnPath("redis-server"))
        {
            return $"redis-server is not installed: {Remedy}.";
        }

        if (needs.HasFlag(LabNeeds.Browser) && !IsOnPath(Chromium))
        {
            return $"{Chromium} is not installed: {Remedy}.";
        }

        if (needs.HasFlag(LabNeeds.Prometheus) && !(IsOnPath("prometheus") && IsOnPath("promtool")))
        {
            return $"prometheus is not installed: {Remedy}.";
        }

        if (needs.HasFlag(LabNeeds.LoopDisk) && LoopDisk.Missing is { } missing)
        {
            return missing;
        }

        if (needs.HasFlag(LabNeeds.Kvm) && KvmFault.Value is { } kvm)
        {
            return kvm;
        }

        return needs.HasFlag(LabNeeds.Namespaces) ? LabNetwork.Missing : null;
    }

    /// <summary>Runs a program to its end and returns what it printed on stdout.</summary>
    /// <exception cref="InvalidOperationException">It could not be started, or its exit code is not 0; the message holds its stderr.</exception>
    internal static string Run(string program, params IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };
        try
        {
            using var process = Process.Start(start)!;
            var error = new StringBuilder();
            process.ErrorDataReceived += (_, line) => error.AppendLine(line.Data);
            process.BeginErrorReadLine();
            var output = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            return process.ExitCode == 0
                ? output
                : throw new InvalidOperationException($"{program} ended with exit code {process.ExitCode}: {error}");
        }
        catch (Win32Exception exception)
        {
            throw new InvalidOperationException($"{program} cannot be started ({exception.Message}): {Remedy}.", exception);
        }
    }

    private static string? FindQemuFault()
    {
        if (!IsOnPath(Qemu))
        {
            return $"{Qemu} is not installed: {Remedy}.";
        }

        var text = Run(Qemu, "--version");
        var match = VersionNumber().Match(text);
        return match.Success && int.Parse(match.Groups[1].ValueSpan, CultureInfo.InvariantCulture) >= OldestQemu
            ? null
            : $"mapped-ram needs QEMU {OldestQemu} or newer, and this is \"{text.Split('\n')[0]}\": {Remedy}.";
    }

    private static string? FindKvmFault()
    {
        if (QemuFault.Value is { } fault)
        {
            return fault;
        }

        try
        {
            Run("sh", "-c", $"echo quit | {Qemu} -nodefaults -display none -machine q35 {string.Join(' ', QemuArguments.Kvm)} -S -monitor stdio");
            return null;
        }
        catch (InvalidOperationException e)
        {
            return $"QEMU cannot use KVM here: {e.Message}";
        }
    }

    private static string FindNewestMachine()
    {
        var match = NewestQ35().Match(Run(Qemu, "-machine", "help"));
        return match.Success
            ? match.Groups[1].Value
            : throw new InvalidOperationException($"{Qemu} -machine help names no machine behind the alias q35.");
    }

    private static bool IsOnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => folder.Length > 0 && File.Exists(Path.Combine(folder, program)));

    [GeneratedRegex(@"version (\d+)\.")]
    private static partial Regex VersionNumber();

    [GeneratedRegex(@"\(alias of (pc-q35-[^)]+)\)")]
    private static partial Regex NewestQ35();
}
