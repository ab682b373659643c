using System.Text.Json;

namespace DistMigrate.Tests.Lab;

/// <summary>Reads what the page of a silo shows. A command for each look would cost a small machine more than what is looked at.</summary>
public static class StatusPageReader
{
    /// <summary>Between two looks.</summary>
    public static readonly TimeSpan Step = TimeSpan.FromMilliseconds(50);

    private static readonly HttpClient Http = new() { Timeout = TimeSpan.FromSeconds(5) };

    /// <summary>The same fields as <c>status ID --output json</c>.</summary>
    /// <param name="page">The silo's web endpoint.</param>
    /// <param name="id">The migration.</param>
    /// <returns>Null when the silo or the migration's coordinator does not answer, or the page does not show that migration.</returns>
    public static async Task<JsonElement?> TryReadAsync(string page, string id) =>
        await TryGetAsync($"{page}/api/migrations/{id}") is { } document && document.GetProperty("migration") is var migration
        && migration.TryGetProperty("ram", out _) ? migration : null;

    /// <summary>Whether the hosts are up or down, in the order of their names; null when the silo does not answer.</summary>
    public static async Task<IReadOnlyList<string>?> TryReadHostsAsync(string page) => await TryGetAsync($"{page}/api/overview") is { } document
        ? [.. document.GetProperty("hosts").EnumerateArray().Select(host => host.GetProperty("state").GetString()!)]
        : null;

    private static async Task<JsonElement?> TryGetAsync(string address)
    {
        try
        {
            using var document = JsonDocument.Parse(await Http.GetStringAsync(new Uri(address)));
            return document.RootElement.Clone();
        }
        catch (Exception e) when (e is HttpRequestException or OperationCanceledException)
        {
            return null;
        }
    }
}
