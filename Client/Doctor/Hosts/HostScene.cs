using DistMigrate.Client.Commands;

namespace DistMigrate.Client.Doctor.Hosts;

/// <summary>This host, with what several checks ask for and only one of them finds out.</summary>
internal sealed class HostScene(Invocation invocation)
{
    private Task<QemuFacts>? _qemu;

    public Invocation Invocation => invocation;

    /// <summary>Folders below which this host's silo takes images; null while no silo has told.</summary>
    public IReadOnlyList<string>? StorageRoots { get; set; }

    /// <summary>What the QEMU in PATH says of itself.</summary>
    /// <exception cref="CommandException">There is none, or it does not answer.</exception>
    public Task<QemuFacts> QemuAsync(CancellationToken cancellation) => _qemu ??= QemuProgram.AskAsync(invocation.Surroundings, cancellation);
}
