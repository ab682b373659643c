using System.Globalization;
using DistMigrate.Client.Commands;
using DistMigrate.Client.Connection;
using DistMigrate.Client.Output;
using DistMigrate.Client.Values;
using DistMigrate.Contracts;
using DistMigrate.MappedRam;

namespace DistMigrate.Client.Demo;

/// <summary>
/// The main job on a real guest, with nothing configured: save, verify, load into a second stock QEMU, compare every page, run on.
/// It uses the same code as the commands <c>save</c>, <c>verify</c> and <c>restore</c>.
/// </summary>
internal sealed class DemoRun
{
    private const int MaxSocketPath = 107;
    private const int Rounds = 3;

    private readonly Invocation _invocation;
    private readonly DemoPrograms _programs;
    private readonly string _folder;
    private readonly long _memory;
    private int _step;

    private DemoRun(Invocation invocation, DemoPrograms programs, string folder, long memory)
    {
        _invocation = invocation;
        _programs = programs;
        _folder = folder;
        _memory = memory;
    }

    private string StateFolder => Path.Combine(_folder, "state");

    private CancellationToken Cancellation => _invocation.Cancellation;

    public static async Task<int> RunAsync(Invocation invocation, long memory, bool keep)
    {
        var programs = await DemoPrograms.FindAsync(invocation.Surroundings, invocation.Cancellation);
        var folder = Directory.CreateTempSubdirectory("distmigrate-demo-").FullName;
        var run = new DemoRun(invocation, programs, folder, memory);
        try
        {
            run.CheckFolder();
            return await run.RunAsync();
        }
        finally
        {
            await DemoSilo.StopAsync(run.StateFolder, invocation.Time);
            if (keep)
                invocation.Terminal.Say($"the demo's files are in {folder}");
            else
                Directory.Delete(folder, recursive: true);
        }
    }

    private async Task<int> RunAsync()
    {
        var size = ByteSize.Format(_memory);
        var disk = Path.Combine(_folder, "guest.floppy");
        var image = Path.Combine(_folder, "guest.image");

        Step($"starting a guest with {size} in QEMU {_programs.QemuVersion}; it checks its own memory for ever");
        // The last quarter stays untouched, so that zero pages have their part in what is shown.
        await BootSector.AssembleAsync(_programs.Nasm, disk, Math.Max(2, (int)(_memory >> 20) * 3 / 4), Cancellation);
        await using var source = await StartGuestAsync("source", disk, waits: false);
        await source.WaitForRoundsAsync(Rounds, Cancellation);

        Step("starting a silo");
        var settings = new ClientSettings([], "", null, StateFolder, _invocation.LoadSettings().SiloProgram);
        var environment = new Dictionary<string, string> { ["DISTMIGRATE_Storage__Roots__0"] = _folder };
        await using var connection = await SiloConnection.OpenAsync(
            settings, _invocation.Surroundings, environment, _invocation.Terminal.Say, Cancellation);
        var host = CommonOptions.ChooseHost(null, connection, settings);
        var migrations = new MigrationRun(_invocation, connection);

        Step("saving the guest");
        var save = await CompleteAsync(migrations, host, new MigrationRequest(
            MigrationKind.Save, "demo", source.QmpPath, image, new SaveOptions(), Restore: null));

        Step("verifying the image");
        var blocks = Verify(image);

        Step("loading the image into a second QEMU");
        await using var target = await StartGuestAsync("target", disk, waits: true);
        var restore = await CompleteAsync(migrations, host, new MigrationRequest(
            MigrationKind.Restore, "demo", target.QmpPath, image, Save: null, new RestoreOptions(Paused: true)));

        Step("comparing every page of both QEMUs");
        var pages = await CompareAsync(source, target, blocks);

        Step("letting the loaded guest run on");
        await target.Monitor.ExecuteAsync("cont", Cancellation);
        await target.WaitForRoundsAsync(Rounds, Cancellation);
        if (target.HasBooted)
            throw new CommandException(ExitCode.Failed, "the loaded guest booted afresh instead of running on.");

        Conclude(TimeOf(save), TimeOf(restore), pages, blocks.Count);
        return ExitCode.Ok;
    }

    private void CheckFolder()
    {
        if (Path.Combine(_folder, "source.demo.qmp").Length > MaxSocketPath)
            throw new CommandException(
                ExitCode.Refused, $"the folder for temporary files, {Path.GetTempPath()}, is too long a path for sockets.", "set TMPDIR to a shorter one");
        var needed = (3 * _memory) + (64 << 20);
        if (new DriveInfo(_folder).AvailableFreeSpace is var free && free < needed)
            throw new CommandException(
                ExitCode.Storage,
                $"the demo needs {ByteSize.Format(needed)} in {Path.GetTempPath()}, where {ByteSize.Format(free)} are free.",
                "make room, set TMPDIR to another folder, or give a smaller --memory");
    }

    private Task<DemoGuest> StartGuestAsync(string name, string disk, bool waits) =>
        DemoGuest.StartAsync(_programs, _folder, name, disk, _memory, waits, _invocation.Time, Cancellation);

    private async Task<MigrationStatus> CompleteAsync(MigrationRun migrations, string host, MigrationRequest request)
    {
        var spec = await migrations.SubmitAsync(host, request);
        var status = await migrations.WaitAsync(spec.Id, Cancellation);
        if (status.Phase != MigrationPhase.Completed)
            throw new CommandException(
                ExitCodes.Of(status) is var code && code == ExitCode.Ok ? ExitCode.Failed : code,
                $"the {OutputJson.NameOf(request.Kind)} ended as {status.Phase.ToName()}: {status.Message}");
        return status;
    }

    private static IReadOnlyList<string> Verify(string path)
    {
        using var input = ImageFile.Open(path);
        if (ImageVerifier.Verify(input) is [var first, ..])
            throw new CommandException(ExitCode.Malformed, $"the image is malformed at {first}");
        return [.. MappedRamImage.Read(input).Blocks.Select(block => block.Layout.Name)];
    }

    private async Task<long> CompareAsync(DemoGuest source, DemoGuest target, IReadOnlyList<string> blocks)
    {
        foreach (var (guest, name) in new[] { (source, "saved"), (target, "loaded") })
        {
            if (await guest.Monitor.RunStateAsync(Cancellation) is "running")
                throw new CommandException(ExitCode.Failed, $"the {name} guest runs, although it must be paused here.");
        }
        using var sourceMemory = await GuestMemory.OpenAsync(source, Cancellation);
        using var targetMemory = await GuestMemory.OpenAsync(target, Cancellation);
        return blocks.Sum(block => GuestMemory.Compare(block, sourceMemory, targetMemory));
    }

    private void Conclude(TimeSpan saveTime, TimeSpan restoreTime, long pages, int blocks)
    {
        var summary =
            $"guest saved ({ByteSize.Format(_memory)} in {DurationText.Format(saveTime)}), loaded by QEMU {_programs.QemuVersion}, "
            + $"{Printable.Count(pages)} pages equal, guest running on";
        if (_invocation.Terminal.Format == OutputFormat.Json)
            OutputJson.Write(
                _invocation.Terminal,
                new DemoDocument(
                    OutputJson.Schema, true, _programs.QemuVersion, _memory, saveTime.TotalSeconds, restoreTime.TotalSeconds, pages, blocks, summary),
                OutputJson.Writing.DemoDocument);
        else
            _invocation.Terminal.Data("OK: " + summary);
    }

    private static TimeSpan TimeOf(MigrationStatus status) => MigrationOutput.TotalTime(status) ?? TimeSpan.Zero;

    private void Step(string what) =>
        _invocation.Terminal.Say(string.Create(CultureInfo.InvariantCulture, $"{++_step}. {what}"));
}
