using System.Text.Json;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>The commands that most tests give.</summary>
internal static class ProductCommands
{
    /// <summary>The name under which tests save a guest that needs none in particular.</summary>
    public const string GuestName = "vm1";

    private static readonly TimeSpan EndLimit = TimeSpan.FromSeconds(120);

    /// <summary><c>distmigrate save</c>, with its outcome as JSON; whatever it is.</summary>
    public static Task<CommandResult> TrySaveAsync(this ProductUnderTest product, QemuProcess guest, string image, params IReadOnlyList<string> options) =>
        product.RunAsync(["save", GuestName, image, "--qmp", guest.QmpSocket, "--output", "json", .. options]);

    /// <summary><c>distmigrate save</c> that must complete.</summary>
    /// <returns>The migration.</returns>
    public static async Task<JsonElement> SaveAsync(this ProductUnderTest product, QemuProcess guest, string image, params IReadOnlyList<string> options)
    {
        var saved = await product.TrySaveAsync(guest, image, options);
        if (saved.ExitCode != 0)
            Assert.Fail($"{saved} {guest.Describe()}");
        var migration = saved.Json;
        Assert.Equal("completed", migration.GetProperty("phase").GetString());
        return migration;
    }

    /// <summary><c>distmigrate save --detach</c>.</summary>
    /// <returns>The migration's id.</returns>
    public static async Task<string> BeginSaveAsync(this ProductUnderTest product, QemuProcess guest, string image, params IReadOnlyList<string> options) =>
        (await product.TrySaveAsync(guest, image, ["--detach", .. options])).ExpectOk().Json.GetProperty("id").GetString()!;

    /// <summary><c>distmigrate restore</c>, with its outcome as JSON; whatever it is.</summary>
    public static Task<CommandResult> TryRestoreAsync(this ProductUnderTest product, string image, QemuProcess target, params IReadOnlyList<string> options) =>
        product.RunAsync(["restore", image, "--qmp", target.QmpSocket, "--output", "json", .. options]);

    /// <summary><c>distmigrate restore</c> that must complete.</summary>
    /// <returns>The migration.</returns>
    public static async Task<JsonElement> RestoreAsync(this ProductUnderTest product, string image, QemuProcess target, params IReadOnlyList<string> options)
    {
        var migration = (await product.TryRestoreAsync(image, target, options)).ExpectOk().Json;
        Assert.Equal("completed", migration.GetProperty("phase").GetString());
        return migration;
    }

    /// <summary><c>distmigrate status ID</c>.</summary>
    public static async Task<JsonElement> StatusAsync(this ProductUnderTest product, string id) =>
        (await product.RunAsync("status", id, "--output", "json")).ExpectOk().Json;

    /// <summary>Waits until a migration has ended, however it did.</summary>
    /// <returns>The migration.</returns>
    public static Task<JsonElement> WaitForEndAsync(this ProductUnderTest product, string id) => product.WaitForStatusAsync(
        id, status => status.GetProperty("phase").GetString() is "completed" or "failed" or "cancelled", $"migration {id} has ended", EndLimit);

    /// <summary>Waits until pages of a migration are written.</summary>
    public static Task<JsonElement> WaitUntilWritingAsync(this ProductUnderTest product, string id) =>
        product.WaitForStatusAsync(id, status => status.GetProperty("ram").GetProperty("normal").GetInt64() > 0, "pages are written");

    /// <summary>Waits until so many bytes of a migration are durable.</summary>
    public static Task<JsonElement> WaitForDurableAsync(this ProductUnderTest product, string id, long bytes) =>
        product.WaitForStatusAsync(id, status => status.GetProperty("ram").GetProperty("durable").GetInt64() > bytes, "pages are durable");

    /// <summary>Waits until a migration's status is as wanted, as the silo's page has it and then as the command tells.</summary>
    /// <returns>What <c>status ID</c> tells.</returns>
    public static Task<JsonElement> WaitForStatusAsync(
        this ProductUnderTest product, string id, Func<JsonElement, bool> isWanted, string what, TimeSpan? limit = null) => StatusPageReader.WaitAsync(
            async () => product.ReadEndpoint() is { } silo ? await StatusPageReader.TryReadAsync(silo.GetProperty("http").GetString()!, id) : null,
            () => product.StatusAsync(id),
            isWanted,
            what,
            limit,
            () => product.SiloLog);
}
