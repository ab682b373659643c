namespace DistMigrate.Tests.Lab;

/// <summary>What runs in a guest. Every kind counts its steps on the serial port and complains there itself when its memory is not what it wrote.</summary>
public abstract record GuestBoot
{
    /// <summary>What the machine needs for this kind.</summary>
    public abstract LabNeeds Needs { get; }

    /// <summary>True once the guest has filled its memory and runs its endless check.</summary>
    /// <param name="serial">Everything the guest printed.</param>
    public abstract bool IsReady(string serial);

    /// <summary>Completed checks of the memory that stand in this log. A restored guest starts a new log, so its count starts at zero.</summary>
    /// <param name="serial">Everything the guest printed.</param>
    public abstract int Steps(string serial);

    /// <summary>The first complaint of the guest about its memory, or null.</summary>
    /// <param name="serial">Everything the guest printed.</param>
    public abstract string? Fault(string serial);

    /// <summary>Writes the boot files into <paramref name="folder"/>, unless another guest has them there, and returns the QEMU arguments that boot them, with KVM or without.</summary>
    internal abstract Task<IReadOnlyList<string>> PrepareAsync(string folder, bool kvm, CancellationToken cancellationToken);

    /// <summary>The first line that starts with one of the words, once the guest has printed it to its end.</summary>
    private protected static string? FirstLineWith(string serial, params ReadOnlySpan<string> words)
    {
        var first = -1;
        foreach (var word in words)
        {
            var at = serial.IndexOf(word, StringComparison.Ordinal);
            if (at >= 0 && (first < 0 || at < first))
            {
                first = at;
            }
        }

        if (first < 0)
        {
            return null;
        }

        var end = serial.IndexOfAny(['\r', '\n'], first);
        return end < 0 ? null : serial[first..end];
    }
}
