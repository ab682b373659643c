using System.Runtime.InteropServices;

namespace DistMigrate.Client.Commands;

/// <summary>The first Ctrl-C (or SIGTERM) asks the command to let go in good order; the second ends the process at once.</summary>
internal sealed class Interrupts : IDisposable
{
    private readonly CancellationTokenSource _first = new();
    private readonly List<PosixSignalRegistration> _registrations = [];

    public Interrupts()
    {
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGINT, Handle));
        _registrations.Add(PosixSignalRegistration.Create(PosixSignal.SIGTERM, Handle));
    }

    /// <summary>Cancelled by the first signal.</summary>
    public CancellationToken Token => _first.Token;

    public void Dispose()
    {
        _registrations.ForEach(registration => registration.Dispose());
        _first.Dispose();
    }

    private void Handle(PosixSignalContext context)
    {
        context.Cancel = true;
        if (_first.IsCancellationRequested)
            Environment.Exit(ExitCode.Detached);
        _first.Cancel();
    }
}
