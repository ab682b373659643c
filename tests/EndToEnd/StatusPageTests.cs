using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using DistMigrate.Tests.Lab;

namespace DistMigrate.Tests.EndToEnd;

/// <summary>The silo's status page, in a real browser, while a real save goes on. With DISTMIGRATE_PICTURES, a folder, its pictures are written there.</summary>
public sealed class StatusPageTests : IClassFixture<ProductUnderTest>, IAsyncLifetime
{
    private const string Host = "hv1";
    private const string Hostile = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>";

    // Far more time than the tests take, however slow the machine is.
    private const string Slow = "2MiB/s";

    private static readonly GuestRecipe Recipe = new() { MiB = 256, Boot = new SelfCheckBoot { Seed = 7, UpperMiB = 160 } };

    private readonly ProductUnderTest _product;
    private QemuProcess? _web;
    private string _id = "";

    public StatusPageTests(ProductUnderTest product)
    {
        _product = product;
        product.Settings["DISTMIGRATE_Host"] = Host;
        product.Settings["DISTMIGRATE_Limits__MaxOutgoing"] = "2";
    }

    private Uri Address => new(_product.ReadEndpoint()!.Value.GetProperty("http").GetString() + "/");

    /// <summary>A save that goes on for as long as the test needs it.</summary>
    public async Task InitializeAsync()
    {
        if (LabPrograms.Missing(LabNeeds.SelfCheckGuest | LabNeeds.Browser) is { } reason)
            throw new InvalidOperationException(reason);
        _web = await QemuProcess.StartAsync(Recipe);
        await _web.WaitUntilReadyAsync();
        _id = await BeginAsync("web1", _web, _product.Image("web1 <img src=x onerror=alert(1)>.img"));
        await _product.WaitForStatusAsync(
            _id, status => status.GetProperty("phase").GetString() == "active" && status.GetProperty("ram").GetProperty("normal").GetInt64() > 0, "the save writes");
    }

    public async Task DisposeAsync()
    {
        if (_id.Length > 0)
        {
            (await _product.RunAsync("cancel", _id)).ExpectOk();
            await _product.WaitForEndAsync(_id);
        }

        if (_web is not null)
            await _web.DisposeAsync();
    }

    [RequiresQemuFact(LabNeeds.SelfCheckGuest | LabNeeds.Browser)]
    public async Task A_browser_shows_a_running_save_its_pages_who_waits_what_ended_and_the_host()
    {
        await using var db = await QemuProcess.StartAsync(new GuestRecipe { MiB = 24 });
        await db.WaitUntilReadyAsync();
        var ended = await BeginAsync("db1", db, _product.Image("db1-first.img"), rate: "1GiB/s");
        Assert.Equal("completed", (await _product.WaitForEndAsync(ended)).GetProperty("phase").GetString());
        var other = await BeginAsync("db1", db, _product.Image("db1.img"), rate: "64KiB/s");

        // It waits for as long as it is asked about, so it needs no guest of its own.
        var waiting = await BeginAsync("cache1", db, _product.Image("cache1.img"));

        await using var browser = await Browser.StartAsync();
        await browser.ShowAsAsync(1200, 900, isDark: false);
        await browser.OpenAsync(new Uri(Address, $"#{_id}"));
        await browser.UntilAsync($"document.querySelector('[data-id=\"{_id}\"] .phase')?.textContent === 'active'", () => _product.SiloLog);
        await browser.UntilAsync($"document.querySelector('[data-id=\"{_id}\"] .steps [aria-current=step]')?.textContent === 'active'");
        await browser.UntilAsync($"document.querySelector('[data-id=\"{waiting}\"] .phase')?.textContent === 'queued'");
        await browser.UntilAsync("document.querySelector('#queue')?.textContent.includes('cache1')");
        await browser.UntilAsync("document.querySelector('#ended')?.textContent.includes('completed')");
        await browser.UntilAsync($"[...document.querySelectorAll('#hosts tr')].some(row => row.textContent.startsWith('{Host}up'))");

        // Along the largest block: what is durable, zero or written already, and what is to be written; all of it in words as well.
        const string Map = "document.querySelector('[data-ramblock=\"pc.ram\"] svg')";
        await browser.UntilAsync($"{Map}?.querySelectorAll('g').length === 256");
        await browser.UntilAsync($"{Map}.querySelectorAll('g[data-state=durable]').length > 0 && {Map}.querySelectorAll('g[data-state=dirty]').length > 0");
        await browser.UntilAsync($"{Map}.getAttribute('aria-label').includes('durable')");
        await browser.UntilAsync($"[...{Map}.querySelectorAll('g > title')].every(title => /^pages .* to .*: \\d/.test(title.textContent))");
        await browser.UntilAsync("document.querySelectorAll('#legend li').length === 5");

        // It goes on by itself.
        const string Durable = "document.querySelectorAll('[data-ramblock=\"pc.ram\"] g[data-state=durable]').length";
        var before = (await browser.EvaluateAsync(Durable)).GetInt32();
        await browser.UntilAsync($"{Durable} > {before}");

        // The image's name is a text, and so it stays.
        await browser.UntilAsync("document.querySelector('#unfinished').textContent.includes('<img src=x onerror=alert(1)>.img')");
        Assert.Equal(0, (await browser.EvaluateAsync("document.images.length")).GetInt32());
        Assert.Empty(browser.Complaints);
        Assert.All(browser.Requests.Where(request => request.Scheme != "data"), request => Assert.Equal(Address.Authority, request.Authority));
        Assert.Contains(browser.Requests, request => request.AbsolutePath == $"/api/migrations/{_id}");
        await TakePicturesAsync(browser);

        foreach (var id in (string[])[waiting, other])
            (await _product.RunAsync("cancel", id)).ExpectOk();
        await browser.UntilAsync($"!document.querySelector('[data-id=\"{waiting}\"], [data-id=\"{other}\"]') && document.querySelector('#ended').textContent.includes('cancelled')");
    }

    [RequiresQemuFact(LabNeeds.SelfCheckGuest | LabNeeds.Browser)]
    public async Task Markup_in_whatever_the_silo_tells_is_shown_as_text()
    {
        await using var browser = await Browser.StartAsync();
        await browser.RewriteAsync(body => Poison(JsonNode.Parse(body))!.ToJsonString());
        await browser.OpenAsync(Address);
        await browser.UntilAsync("document.querySelectorAll('#blocks h3').length > 0 && document.querySelector('#blocks h3').textContent.includes('<script>')", () => _product.SiloLog);
        await browser.UntilAsync("['#silo', '#unfinished', '#hosts', '#detail-title'].every(id => document.querySelector(id).textContent.includes('<img src=x'))");
        Assert.Equal("0 1 true", (await browser.EvaluateAsync("`${document.images.length} ${document.scripts.length} ${document.title.endsWith('DistMigrate')}`")).GetString());
        Assert.Empty(browser.Complaints);
    }

    [RequiresQemuFact(LabNeeds.SelfCheckGuest | LabNeeds.Browser)]
    public async Task The_page_can_only_be_read_by_loopback_names_and_tells_no_secret()
    {
        using var http = new HttpClient { BaseAddress = Address, Timeout = Wait.Ordinary };
        foreach (var path in (string[])["", "page.js", "page.css", "api/overview", $"api/migrations/{_id}"])
        {
            foreach (var method in (HttpMethod[])[HttpMethod.Post, HttpMethod.Put, HttpMethod.Delete, HttpMethod.Patch, HttpMethod.Options])
            {
                using var refused = await http.SendAsync(new HttpRequestMessage(method, path));
                Assert.Equal(HttpStatusCode.MethodNotAllowed, refused.StatusCode);
            }

            Assert.Equal(HttpStatusCode.MisdirectedRequest, await AskedByAsync(path, "attacker.example:80"));
            Assert.Equal(HttpStatusCode.OK, await AskedByAsync(path, "localhost:1"));
            Assert.Equal(HttpStatusCode.OK, await AskedByAsync(path, "[::1]"));

            using var answer = await http.GetAsync(new Uri(path, UriKind.Relative));
            Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
            Assert.StartsWith("default-src 'none';", Assert.Single(answer.Headers.GetValues("Content-Security-Policy")), StringComparison.Ordinal);
            Assert.False(answer.Headers.Contains("Access-Control-Allow-Origin"));
            var text = await answer.Content.ReadAsStringAsync();
            var endpoint = _product.ReadEndpoint()!.Value;
            Assert.DoesNotContain(endpoint.GetProperty("clusterId").GetString()!, text, StringComparison.Ordinal);
            Assert.DoesNotContain(endpoint.GetProperty("gateway").GetString()!, text, StringComparison.Ordinal);
            Assert.DoesNotContain(_web!.QmpSocket, text, StringComparison.Ordinal);
        }

        // Prometheus may have another name for us.
        Assert.Equal(HttpStatusCode.OK, await AskedByAsync("metrics", "prometheus.example"));
        Assert.Equal(HttpStatusCode.NotFound, (await http.GetAsync(new Uri("api/migrations/nobody", UriKind.Relative))).StatusCode);

        async Task<HttpStatusCode> AskedByAsync(string path, string host)
        {
            using var request = new HttpRequestMessage(HttpMethod.Get, path);
            request.Headers.Host = host;
            using var answer = await http.SendAsync(request);
            return answer.StatusCode;
        }
    }

    [RequiresQemuFact(LabNeeds.SelfCheckGuest | LabNeeds.Browser)]
    public async Task The_cells_of_every_block_add_up_to_it()
    {
        var detail = JsonDocument.Parse(await _product.GetAsync($"/api/migrations/{_id}")).RootElement;
        var blocks = detail.GetProperty("blocks").EnumerateArray().ToArray();
        Assert.Contains(blocks, block => block.GetProperty("ramblock").GetString() == "pc.ram");
        foreach (var block in blocks)
        {
            var map = block.GetProperty("map");
            var pages = block.GetProperty("used-length").GetInt64() / 4096;
            Assert.Equal(Math.Min(256, pages), map.GetProperty("dirty").GetArrayLength());
            Assert.Equal(pages, ((string[])["dirty", "in-flight", "written", "durable"]).Sum(state => map.GetProperty(state).EnumerateArray().Sum(cell => cell.GetInt64())));
        }
    }

    /// <summary>Appends markup to every text but ids, by which the page asks, and times.</summary>
    private static JsonNode? Poison(JsonNode? node, string name = "") => node switch
    {
        JsonObject parts => new JsonObject(parts.Select(part => KeyValuePair.Create(part.Key, Poison(part.Value, part.Key)))),
        JsonArray parts => new JsonArray([.. parts.Select(part => Poison(part))]),
        JsonValue value when name != "id" && value.GetValueKind() == JsonValueKind.String && !DateTimeOffset.TryParse((string?)value, out _) => (string?)value + Hostile,
        _ => node?.DeepClone(),
    };

    private async Task<string> BeginAsync(string name, QemuProcess guest, string image, string rate = Slow) =>
        (await _product.RunAsync("save", name, image, "--qmp", guest.QmpSocket, "--bwlimit", rate, "--detach", "--output", "json")).ExpectOk().Json
            .GetProperty("id").GetString()!;

    private async Task TakePicturesAsync(Browser browser)
    {
        if (Environment.GetEnvironmentVariable("DISTMIGRATE_PICTURES") is not { Length: > 0 } folder)
            return;
        await browser.RewriteAsync(body => body.Replace(_product.StorageRoot, "/srv/images", StringComparison.Ordinal).Replace(" \\u003Cimg src=x onerror=alert(1)\\u003E", "", StringComparison.Ordinal));
        await browser.UntilAsync($"!/{Path.GetFileName(Path.GetDirectoryName(_product.StorageRoot))}|<img/.test(document.body.innerText)");
        var progress = $"document.querySelector('[data-id=\"{_id}\"] progress')";
        await browser.UntilAsync($"{progress}.value / {progress}.max > 0.55");
        foreach (var (name, width, isDark) in ((string, int, bool)[])[("status-page", 1000, false), ("status-page-dark", 1000, true), ("status-page-narrow", 390, false)])
        {
            await browser.ShowAsAsync(width, 900, isDark);
            await browser.UntilAsync($"document.querySelector('[data-ramblock=\"pc.ram\"] svg').viewBox.baseVal.width === {(width > 800 ? 64 : 32) * 14 - 2}");
            await File.WriteAllBytesAsync(Path.Combine(folder, $"{name}.png"), await browser.PictureAsync());
        }
    }

}
