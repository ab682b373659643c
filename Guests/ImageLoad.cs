using System.Text.Json.Nodes;

namespace DistMigrate.Guests;

/// <summary>Lets a QEMU that was started with <c>-incoming defer</c> read an image.</summary>
internal sealed class ImageLoad(QmpClient qmp)
{
    /// <summary>Loads and waits until it is over; the guest stays stopped.</summary>
    /// <exception cref="GuestException">LoadFailed with QEMU's reason; Unsupported when it does not wait for an image; Exited.</exception>
    public async Task RunAsync(string path, LoadOptions options, GuestRunState state, CancellationToken cancellationToken)
    {
        if (options.MultifdChannels is < 0 or > 255 || (options.DirectIo && options.MultifdChannels == 0))
            throw new ArgumentOutOfRangeException(nameof(options), options, "0 to 255 multifd channels; direct I/O needs at least one.");
        if (state.Status != "inmigrate")
            throw new GuestException(GuestFault.Unsupported, $"This QEMU does not wait for an image (its status is {state.Status}). Start one with -incoming defer.");

        using var events = qmp.Subscribe();
        string[] capabilities = options.MultifdChannels > 0 ? ["mapped-ram", "multifd"] : ["mapped-ram"];
        var parameters = new JsonObject { ["direct-io"] = options.DirectIo };
        if (options.MultifdChannels > 0)
            parameters["multifd-channels"] = options.MultifdChannels;

        // An image whose run state is "running" would start the guest by itself; this says not to.
        await qmp.ExecuteAsync("stop", null, null, cancellationToken);
        var settings = new MigrationSettings(qmp, capabilities, parameters);
        var before = await settings.TryApplyAsync(cancellationToken) ?? throw new GuestException(GuestFault.Unsupported,
            $"QEMU {qmp.QemuVersion} lacks {string.Join(" or ", capabilities)}, so it cannot load an image. Start a QEMU 10.0 or later.");
        MigrationProgress outcome;
        try
        {
            await qmp.ExecuteAsync("migrate-incoming", Incoming(path), null, cancellationToken);

            // The load keeps QEMU's main loop busy for as long as it takes, so only QEMU's end limits the wait.
            outcome = await MigrationProgress.WaitAsync(qmp, events, Timeout.InfiniteTimeSpan, cancellationToken);
        }
        catch (Exception e)
        {
            var told = e is GuestException { Fault: GuestFault.CommandFailed } refused
                ? new GuestException(GuestFault.LoadFailed, $"QEMU refused to load {path}: {e.Message} Check that QEMU's user may read it. After a refused or failed load, start a new target.", e) { QmpClass = refused.QmpClass }
                : e;
            if (!qmp.HasEnded)
                await settings.RestoreAfterAsync(before, told);
            if (ReferenceEquals(told, e))
                throw;
            throw told;
        }

        if (outcome.Status != "completed")
        {
            var failure = new GuestException(GuestFault.LoadFailed,
                $"QEMU could not load {path}: {outcome.Error ?? outcome.Status}. Its log (stderr) names the section; compare the target's machine, RAMBlocks and devices with the image's manifest, and start a new target for the next attempt.");
            await settings.RestoreAfterAsync(before, failure);
            throw failure;
        }

        await settings.RestoreAsync(before);
    }

    // The structured form: in a URI, ",offset=" in a file's name would be read as an option.
    private static JsonObject Incoming(string path) => new()
    {
        ["channels"] = new JsonArray(new JsonObject
        {
            ["channel-type"] = "main",
            ["addr"] = new JsonObject { ["transport"] = "file", ["filename"] = path, ["offset"] = 0 },
        }),
        ["exit-on-error"] = false,
    };
}
