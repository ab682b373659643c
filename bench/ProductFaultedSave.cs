using System.Globalization;
using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Bench;

/// <summary>The product's save, by its command.</summary>
internal sealed class ProductFaultedSave(Product product, QemuProcess guest, string image, int mibPerSecond) : IFaultedSave
{
    private string _id = "";

    public async Task StartAsync(CancellationToken cancellationToken)
    {
        var rate = string.Create(CultureInfo.InvariantCulture, $"{mibPerSecond}MiB/s");
        var (output, _) = await product.RunAsync(
            ["save", "bench", image, "--qmp", guest.QmpSocket, "--bwlimit", rate, "--detach"], cancellationToken);
        _id = output.Trim();
    }

    public async Task<long> WrittenAsync(CancellationToken cancellationToken)
    {
        using var status = await StatusAsync(cancellationToken);
        return status.RootElement.GetProperty("ram").GetProperty("transferred").GetInt64();
    }

    public async Task<SaveState> StateAsync(CancellationToken cancellationToken)
    {
        using var status = await StatusAsync(cancellationToken);
        var phase = status.RootElement.GetProperty("phase").GetString()!;

        // What failed for good is removed.
        var kept = phase is "failed" or "cancelled" ? 0 : status.RootElement.GetProperty("ram").GetProperty("durable").GetInt64();
        return new SaveState(phase, status.RootElement.GetProperty("message").GetString() ?? "", kept);
    }

    public ValueTask DisposeAsync() => product.DisposeAsync();

    private async Task<JsonDocument> StatusAsync(CancellationToken cancellationToken) =>
        JsonDocument.Parse((await product.RunAsync(["status", _id, "--output", "json"], cancellationToken)).Output);
}
