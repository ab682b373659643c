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

    /// <summary>Waits until a migration's status is as wanted, as a page has it and then as the command tells.</summary>
    /// <param name="page">Looks at a page; null when none answers.</param>
    /// <param name="command">What <c>status ID</c> tells.</param>
    /// <param name="isWanted">The condition.</param>
    /// <param name="what">The condition in words, for the message.</param>
    /// <param name="limit">Null: <see cref="Wait.Ordinary"/>.</param>
    /// <param name="details">Adds what is known to the message when the limit passes.</param>
    /// <returns>What the command told.</returns>
    /// <exception cref="TimeoutException">The condition does not hold within the limit.</exception>
    public static async Task<JsonElement> WaitAsync(
        Func<Task<JsonElement?>> page, Func<Task<JsonElement>> command, Func<JsonElement, bool> isWanted, string what, TimeSpan? limit, Func<string> details)
    {
        JsonElement status = default;
        await Wait.UntilAsync(
            async () =>
            {
                if (await page() is { } seen && !isWanted(seen))
                {
                    return false;
                }

                status = await command();
                return isWanted(status);
            },
            what,
            limit,
            () => $"{status}\n{details()}",
            Step);
        return status;
    }

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
