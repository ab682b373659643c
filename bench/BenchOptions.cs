using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace DistMigrate.Bench;

/// <summary>The command line of the benchmarks.</summary>
/// <param name="What">saves, sparse, memory, steps, epochs, micro, all, live, receiver, lazy, faults, control or scrape.</param>
/// <param name="Rounds">Measured rounds.</param>
/// <param name="MiB">RAM of the guest.</param>
/// <param name="UsedMiB">How much of it holds something else than zeros.</param>
/// <param name="Migrations">Migrations of the control plane.</param>
/// <param name="Silos">Silos of the control plane; 0 for one, and then three.</param>
/// <param name="Kvm">Whether the guest of live runs with KVM.</param>
/// <param name="Folder">Where the images go; it exists.</param>
/// <param name="OwnsFolder">Whether the folder was made by us.</param>
internal sealed record BenchOptions(string What, int Rounds, int MiB, int UsedMiB, int Migrations, int Silos, bool Kvm, string Folder, bool OwnsFolder)
{
    public const string Help = """
        usage: bench/run saves|sparse|memory|steps|epochs|micro|all|receiver|lazy|faults|scrape [--rounds N] [--mib N] [--used N] [--folder PATH]
               bench/run live [--accel tcg|kvm] [--rounds N] [--mib N] [--used N] [--folder PATH]
               bench/run control [--migrations N] [--silos 1|3] [--folder PATH]
        """;

    private static readonly string[] Subjects = ["saves", "sparse", "memory", "steps", "epochs", "micro", "all", "live", "receiver", "lazy", "faults", "control", "scrape"];

    public static bool TryParse(string[] args, [NotNullWhen(true)] out BenchOptions? options, out string error)
    {
        options = null;
        error = Help;
        if (args.Length == 0 || !Subjects.Contains(args[0]))
            return false;
        var numbers = new Dictionary<string, int> { ["--rounds"] = 5, ["--mib"] = 2048, ["--used"] = 1945, ["--migrations"] = 1000, ["--silos"] = 0 };
        string? folder = null;
        var kvm = false;
        for (var i = 1; i < args.Length; i += 2)
        {
            if (i + 1 == args.Length)
                return false;
            if (args[i] == "--folder")
                folder = Path.GetFullPath(args[i + 1]);
            else if (args[i] == "--accel" && args[i + 1] is ("tcg" or "kvm"))
                kvm = args[i + 1] == "kvm";
            else if (!numbers.ContainsKey(args[i]) || !int.TryParse(args[i + 1], NumberStyles.None, CultureInfo.InvariantCulture, out var number) || number < 1)
                return false;
            else
                numbers[args[i]] = number;
        }

        if (numbers["--silos"] is not (0 or 1 or 3))
            return false;
        var (mib, used) = (numbers["--mib"], numbers["--used"]);
        if (used > mib - GuestFill.ReservedMiB)
        {
            error = $"error: of {mib} MiB at most {mib - GuestFill.ReservedMiB} can be filled, since the guest itself needs some. Lower --used.";
            return false;
        }

        if (folder is not null && !Directory.Exists(folder))
        {
            error = $"error: there is no folder {folder}.";
            return false;
        }

        options = new BenchOptions(
            args[0], numbers["--rounds"], mib, used, numbers["--migrations"], numbers["--silos"], kvm,
            folder ?? Directory.CreateTempSubdirectory("dm-bench-").FullName, folder is null);
        return true;
    }

    /// <summary>Removes the folder if it is ours.</summary>
    public void Cleanup()
    {
        if (OwnsFolder)
            Directory.Delete(Folder, recursive: true);
    }
}
