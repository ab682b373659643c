using System.Text.Json;

namespace DistMigrate.Tests.Lab;

/// <summary>A guest in a QEMU that a silo launched, as its folder tells of it. Its control monitor and serial port are those of the guest that it was.</summary>
/// <param name="folder">The folder of the launched guest.</param>
/// <param name="boot">What runs in it.</param>
public sealed class LaunchedGuest(string folder, GuestBoot boot)
{
    private ProcessIdentity? _process;

    /// <summary>What the guest printed since it was loaded here.</summary>
    public SerialLog Serial => field ??= new SerialLog(Path.Combine(folder, "serial"), () => !IsAlive, Describe);

    /// <summary>Whether its QEMU is there. One that was never launched is not.</summary>
    public bool IsAlive => Process is { IsAlive: true };

    /// <summary>Whether its silo still has it on record.</summary>
    public bool IsOnRecord => File.Exists(Path.Combine(folder, "launch.json"));

    /// <summary>Once it was found it stays found: the record of a QEMU that was ended is gone.</summary>
    private ProcessIdentity? Process => _process ??= Read();

    /// <summary>Waits until its QEMU was launched.</summary>
    public Task WaitUntilLaunchedAsync() => Wait.UntilAsync(() => Process is not null, $"a QEMU is launched in {folder}", details: Describe);

    /// <summary>Waits until the guest has completed <paramref name="more"/> further checks of its memory, all of them clean.</summary>
    /// <exception cref="InvalidOperationException">The guest complained about its memory.</exception>
    public async Task WaitForStepsAsync(int more = 2)
    {
        await WaitUntilLaunchedAsync();
        var goal = boot.Steps(Serial.Text) + more;
        await Serial.WaitAsync(text => boot.Steps(text) >= goal || boot.Fault(text) is not null, $"the launched guest completes {more} more checks of its memory");
        if (boot.Fault(Serial.Text) is { } fault)
            throw new InvalidOperationException($"The guest found its memory wrong: {fault}. {Describe()}");
    }

    /// <summary>Runs a command at its control monitor.</summary>
    public async Task<JsonElement> ExecuteAsync(string command)
    {
        await using var monitor = await TestMonitor.ConnectAsync(
            Path.Combine(folder, "control"), Wait.Ordinary, () => _ = IsAlive ? true : throw new InvalidOperationException($"QEMU has ended. {Describe()}"), CancellationToken.None);
        return await monitor.ExecuteAsync(command);
    }

    /// <summary>Kills its QEMU as a crash would, and waits until it is gone.</summary>
    public async Task KillAsync()
    {
        await WaitUntilLaunchedAsync();
        Process!.Value.Kill();
        await Wait.UntilAsync(() => !IsAlive, "the launched QEMU is gone");
    }

    private ProcessIdentity? Read()
    {
        try
        {
            var record = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(folder, "launch.json"))).RootElement;
            return record.GetProperty("pid").GetInt32() is > 0 and var pid ? new ProcessIdentity(pid, record.GetProperty("start-time").GetInt64()) : null;
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            return null;
        }
    }

    private string Describe()
    {
        var log = Path.Combine(folder, "qemu.log");
        return $"launched guest in {folder}: {(IsAlive ? "runs" : "has ended, or was never launched")}; log: {(File.Exists(log) ? File.ReadAllText(log) : "none")}; serial: {Serial.Text}";
    }
}
