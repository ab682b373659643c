using System.Collections.Concurrent;
using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace DistMigrate.Tests.Lab;

/// <summary>A QEMU that a test started: with a monitor socket for the system under test, another for the test itself, and a serial log. Disposing kills it by its pid and deletes its files.</summary>
public sealed class QemuProcess : IAsyncDisposable
{
    private static readonly ConcurrentDictionary<QemuProcess, bool> Living = new();

    private readonly Process _process;
    private readonly LabFolder _folder;
    private readonly StringBuilder _errorOutput = new();
    private TestMonitor? _monitor;
    private bool _isDisposed;

    static QemuProcess() =>
        AppDomain.CurrentDomain.ProcessExit += (_, _) =>
        {
            foreach (var guest in Living.Keys)
            {
                guest.KillAndDelete();
            }
        };

    private QemuProcess(GuestRecipe recipe, LabFolder folder, IReadOnlyList<string> arguments)
    {
        Recipe = recipe;
        Arguments = arguments;
        _folder = folder;
        _process = new Process
        {
            StartInfo = new ProcessStartInfo(LabPrograms.Qemu, arguments)
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
                RedirectStandardInput = true,
                WorkingDirectory = folder.Path,
            },
        };
        _process.ErrorDataReceived += (_, line) =>
        {
            lock (_errorOutput)
            {
                _errorOutput.AppendLine(line.Data);
            }
        };
        Serial = new SerialLog(folder.File("serial"), () => HasExited, Describe);
    }

    /// <summary>How it was started.</summary>
    public GuestRecipe Recipe { get; }

    /// <summary>The arguments of the QEMU process, without its name.</summary>
    public IReadOnlyList<string> Arguments { get; }

    /// <summary>The pid of the QEMU process.</summary>
    public int Pid => _process.Id;

    /// <summary>The monitor socket for the system under test. The Lab never connects to it.</summary>
    public string QmpSocket => _folder.File("qmp");

    /// <summary>The test's own monitor.</summary>
    public TestMonitor Monitor => _monitor ?? throw new InvalidOperationException("The guest has not been started.");

    /// <summary>What the guest printed.</summary>
    public SerialLog Serial { get; }

    /// <summary>A folder for files of this guest, deleted with it.</summary>
    public string Folder => _folder.Path;

    /// <summary>The folder with the files of <see cref="MemoryKind.SharedFile"/>, one per block, named as the block.</summary>
    public string MemoryFolder => _folder.MemoryPath;

    /// <summary>True once QEMU has ended.</summary>
    public bool HasExited => _process.HasExited;

    /// <summary>QEMU's exit code; 128 + N after signal N.</summary>
    public int ExitCode => _process.ExitCode;

    /// <summary>What QEMU wrote to stderr so far.</summary>
    public string ErrorOutput
    {
        get
        {
            lock (_errorOutput)
            {
                return _errorOutput.ToString().Trim();
            }
        }
    }

    /// <summary>Starts a guest and connects its <see cref="Monitor"/>.</summary>
    /// <param name="recipe">How to start it.</param>
    /// <param name="cancellationToken">Ends the waiting and the guest.</param>
    /// <exception cref="InvalidOperationException">Something is missing on the machine, or QEMU ended at once; the message has its stderr.</exception>
    public static async Task<QemuProcess> StartAsync(GuestRecipe recipe, CancellationToken cancellationToken = default)
    {
        recipe.Validate();
        if (LabPrograms.Missing(recipe.Boot.Needs | LabNeeds.Qemu) is { } reason)
        {
            throw new InvalidOperationException(reason);
        }

        var folder = LabFolder.Create(recipe.MemoryFolder);
        QemuProcess? guest = null;
        try
        {
            guest = new QemuProcess(recipe, folder, await ComposeAsync(recipe, folder, cancellationToken));
            await guest.LaunchAsync(cancellationToken);
            return guest;
        }
        catch
        {
            if (guest is not null)
            {
                await guest.DisposeAsync();
            }
            else
            {
                folder.Delete();
            }

            throw;
        }
    }

    /// <summary>Waits until the guest has filled its memory and checks it for ever.</summary>
    /// <param name="limit">Null: <see cref="Wait.Ordinary"/>.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public async Task WaitUntilReadyAsync(TimeSpan? limit = null, CancellationToken cancellationToken = default)
    {
        await Serial.WaitAsync(Recipe.Boot.IsReady, "the guest checks its memory", limit, cancellationToken);
        ThrowOnFault();
    }

    /// <summary>Waits until the guest has completed <paramref name="more"/> further checks of its memory, all of them clean.</summary>
    /// <param name="more">Number of checks. The first one after a restore may have begun before the save, so two prove that every page was read after it.</param>
    /// <param name="limit">Null: <see cref="Wait.Ordinary"/>.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="InvalidOperationException">The guest complained about its memory.</exception>
    public async Task WaitForStepsAsync(int more = 2, TimeSpan? limit = null, CancellationToken cancellationToken = default)
    {
        var goal = Recipe.Boot.Steps(Serial.Text) + more;
        await Serial.WaitAsync(
            text => Recipe.Boot.Steps(text) >= goal || Recipe.Boot.Fault(text) is not null,
            $"the guest completes {more} more checks of its memory",
            limit,
            cancellationToken);
        ThrowOnFault();
    }

    /// <summary>QMP <c>stop</c>.</summary>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public Task PauseAsync(CancellationToken cancellationToken = default) => Monitor.ExecuteAsync("stop", null, cancellationToken);

    /// <summary>QMP <c>cont</c>.</summary>
    /// <param name="cancellationToken">Ends the waiting.</param>
    public Task ContinueAsync(CancellationToken cancellationToken = default) => Monitor.ExecuteAsync("cont", null, cancellationToken);

    /// <summary>Kills QEMU as a crash would, and waits until it has ended. Its files stay until it is disposed.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync();
    }

    /// <summary>Waits until QEMU has ended by itself.</summary>
    /// <param name="limit">Null: <see cref="Wait.Ordinary"/>.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <returns>Its exit code.</returns>
    public async Task<int> WaitForExitAsync(TimeSpan? limit = null, CancellationToken cancellationToken = default)
    {
        await _process.WaitForExitAsync(cancellationToken).WaitAsync(limit ?? Wait.Ordinary, cancellationToken);
        return ExitCode;
    }

    /// <summary>What is known about this guest, for the message of a failure.</summary>
    public string Describe()
    {
        const int Tail = 2000;
        var serial = Serial.Text;
        var state = HasExited ? $"ended with exit code {ExitCode.ToString(CultureInfo.InvariantCulture)}" : "runs";
        return $"""

            QEMU {Pid.ToString(CultureInfo.InvariantCulture)} {state}.
            arguments: {string.Join(' ', Arguments)}
            stderr: {ErrorOutput}
            serial, its end: {(serial.Length <= Tail ? serial : serial[^Tail..])}
            """;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (_isDisposed)
        {
            return;
        }

        _isDisposed = true;
        KillAndDelete();
        if (_monitor is not null)
        {
            await _monitor.DisposeAsync();
        }

        _process.Dispose();
    }

    private static async Task<IReadOnlyList<string>> ComposeAsync(GuestRecipe recipe, LabFolder folder, CancellationToken cancellationToken)
    {
        var machine = recipe.Machine ?? LabPrograms.NewestMachine;
        var onlyBlock = recipe.NumaNodes == 0 && recipe.Memory != MemoryKind.Private ? ",memory-backend=pc.ram" : "";
        List<string> arguments =
        [
            "-no-user-config", "-nodefaults", "-display", "none",
            "-machine", machine + onlyBlock,
            .. recipe.Kvm ? QemuArguments.Kvm : ["-accel", "tcg"],
            .. QemuArguments.Memory(recipe, folder.MemoryPath),
            .. Monitor("qmp"),
            .. Monitor("control"),
            "-chardev", $"file,id=serial,path={QemuArguments.Escape(folder.File("serial"))}",
            "-serial", "chardev:serial",
            .. await recipe.Boot.PrepareAsync(recipe.BootFolder ?? folder.Path, recipe.Kvm, cancellationToken),
        ];
        if (recipe.Name is not null)
        {
            arguments.AddRange(["-name", QemuArguments.Escape(recipe.Name)]);
        }

        if (recipe.Incoming)
        {
            arguments.AddRange(["-incoming", "defer"]);
        }

        if (recipe.StartPaused)
        {
            arguments.Add("-S");
        }

        arguments.AddRange(recipe.ExtraArguments);
        return arguments;

        IEnumerable<string> Monitor(string name) =>
        [
            "-chardev", $"socket,id={name},server=on,wait=off,path={QemuArguments.Escape(folder.File(name))}",
            "-mon", $"chardev={name},mode=control",
        ];
    }

    private async Task LaunchAsync(CancellationToken cancellationToken)
    {
        try
        {
            _process.Start();
        }
        catch (Win32Exception exception)
        {
            throw new InvalidOperationException($"{LabPrograms.Qemu} cannot be started: {exception.Message}", exception);
        }

        Living[this] = true;
        _folder.WriteOwner(ProcessIdentity.Of(Pid));
        _process.StandardInput.Close();
        _process.BeginErrorReadLine();

        // A guest that is paced is late on a busy machine, of which QEMU tells here.
        _process.BeginOutputReadLine();
        _monitor = await TestMonitor.ConnectAsync(_folder.File("control"), Wait.Ordinary, ThrowIfExited, cancellationToken);
        await _monitor.SetCapabilitiesAsync(("events", true));
    }

    private void ThrowIfExited()
    {
        if (_process.HasExited)
        {
            _process.WaitForExit();
            throw new InvalidOperationException($"QEMU ended at once. {Describe()}");
        }
    }

    private void ThrowOnFault()
    {
        if (Recipe.Boot.Fault(Serial.Text) is { } fault)
        {
            throw new InvalidOperationException($"The guest found its memory wrong: {fault}. {Describe()}");
        }
    }

    private void KillAndDelete()
    {
        if (Living.TryRemove(this, out _))
        {
            _process.Kill();
            _process.WaitForExit();
        }

        _folder.Delete();
    }
}
