using System.Net;

namespace DistMigrate.Silo.Page;

/// <summary>The silo's page for people: what the cluster does, to be looked at and not changed.</summary>
internal static class StatusPage
{
    /// <summary>Nothing is loaded from elsewhere, no text becomes markup, and no other page may frame this one.</summary>
    private const string Policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        + "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

    /// <summary>Adds the page and what its script reads. Whatever is no GET is refused by the routing.</summary>
    /// <param name="application">The silo's web server.</param>
    /// <param name="address">Where it listens.</param>
    public static void MapStatusPage(this WebApplication application, IPAddress address)
    {
        var page = application.MapGroup("").AddEndpointFilter((context, next) => Guard(context, next, IPAddress.IsLoopback(address)));
        MapFile(page, "/", "index.html", "text/html; charset=utf-8");
        MapFile(page, "/page.js", "page.js", "text/javascript; charset=utf-8");
        MapFile(page, "/page.css", "page.css", "text/css; charset=utf-8");
        page.MapGet("/api/overview", async (StatusReader reader) =>
            Results.Json(await reader.ReadAsync(), PageJson.Default.OverviewDocument));
        page.MapGet("/api/migrations/{id}", async (string id, StatusReader reader) =>
            await reader.ReadAsync(id) is { } migration
                ? Results.Json(migration, PageJson.Default.DetailDocument)
                : Results.Text("The page shows no migration of that id.\n", statusCode: StatusCodes.Status404NotFound));
    }

    private static void MapFile(IEndpointRouteBuilder page, string path, string name, string contentType)
    {
        using var stream = typeof(StatusPage).Assembly.GetManifestResourceStream(name)!;
        using var content = new MemoryStream();
        stream.CopyTo(content);
        var bytes = content.ToArray();
        page.MapGet(path, () => Results.Bytes(bytes, contentType));
    }

    /// <summary>
    /// A silo that listens on loopback answers to loopback's names alone. A page of somebody else, whose name was made to lead here after
    /// the browser had loaded it, would else be of our origin and could read what is shown.
    /// </summary>
    private static ValueTask<object?> Guard(EndpointFilterInvocationContext context, EndpointFilterDelegate next, bool isLoopback)
    {
        var headers = context.HttpContext.Response.Headers;
        headers.ContentSecurityPolicy = Policy;
        headers.XContentTypeOptions = "nosniff";
        headers.CacheControl = "no-store";
        headers["Referrer-Policy"] = "no-referrer";
        headers["Cross-Origin-Resource-Policy"] = "same-origin";
        var host = context.HttpContext.Request.Host.Host;
        return isLoopback && !IsLoopbackName(host)
            ? ValueTask.FromResult<object?>(Results.Text(
                $"This silo listens on loopback, and is asked for by the name localhost or a loopback address, not '{host}'.\n",
                statusCode: StatusCodes.Status421MisdirectedRequest))
            : next(context);
    }

    private static bool IsLoopbackName(string host) =>
        host.Equals("localhost", StringComparison.OrdinalIgnoreCase) || (IPAddress.TryParse(host, out var address) && IPAddress.IsLoopback(address));
}
