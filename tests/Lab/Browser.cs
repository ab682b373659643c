using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Net.WebSockets;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DistMigrate.Tests.Lab;

/// <summary>A Chromium without a window, with a profile of its own and one page, steered by its DevTools protocol. Disposing ends it.</summary>
public sealed class Browser : IAsyncDisposable
{
    private readonly Belongings _belongings;
    private readonly Process _process;
    private readonly StringBuilder _errorOutput = new();
    private readonly ClientWebSocket _socket = new();
    private readonly SemaphoreSlim _oneSend = new(1, 1);
    private readonly ConcurrentDictionary<int, TaskCompletionSource<JsonElement>> _pending = new();
    private readonly ConcurrentQueue<string> _complaints = new();
    private readonly ConcurrentQueue<Uri> _requests = new();
    private Func<string, string>? _rewrite;
    private Task _reading = Task.CompletedTask;
    private int _lastId;

    private Browser(Belongings belongings)
    {
        _belongings = belongings;
        _process = new Process
        {
            StartInfo = new ProcessStartInfo(LabPrograms.Chromium,
            [
                // Tests may run as root, and load nothing but what they serve themselves.
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
                $"--user-data-dir={belongings.At("profile")}", "about:blank",
            ])
            {
                RedirectStandardError = true,
                RedirectStandardOutput = true,
            },
        };
        _process.ErrorDataReceived += (_, line) => Note(line.Data);
        _process.OutputDataReceived += (_, line) => Note(line.Data);
    }

    /// <summary>Errors and warnings on the page's console so far, exceptions that nothing caught, and what its Content-Security-Policy refused.</summary>
    public IReadOnlyList<string> Complaints => [.. _complaints];

    /// <summary>Where the page sent requests to so far.</summary>
    public IReadOnlyList<Uri> Requests => [.. _requests];

    /// <summary>Starts it.</summary>
    /// <exception cref="TimeoutException">It does not come up; the message has what it printed.</exception>
    public static async Task<Browser> StartAsync()
    {
        var browser = new Browser(Belongings.Create());
        try
        {
            await browser.ConnectAsync();
            return browser;
        }
        catch
        {
            await browser.DisposeAsync();
            throw;
        }
    }

    /// <summary>Opens a page.</summary>
    public Task OpenAsync(Uri address) => SendAsync("Page.navigate", new JsonObject { ["url"] = address.AbsoluteUri });

    /// <summary>From now on the texts of fetched answers come to the page as a function makes them. The page itself is left as it is.</summary>
    public Task RewriteAsync(Func<string, string> rewrite)
    {
        _rewrite = rewrite;
        return SendAsync("Fetch.enable", new JsonObject
        {
            ["patterns"] = new JsonArray(new JsonObject { ["requestStage"] = "Response", ["resourceType"] = "Fetch" }),
        });
    }

    /// <summary>The value of an expression in the page, as JSON has it.</summary>
    /// <exception cref="InvalidOperationException">It throws.</exception>
    public async Task<JsonElement> EvaluateAsync(string expression)
    {
        var reply = await SendAsync("Runtime.evaluate", new JsonObject { ["expression"] = expression, ["returnByValue"] = true, ["awaitPromise"] = true });
        if (reply.TryGetProperty("exceptionDetails", out var details))
            throw new InvalidOperationException($"{expression} throws in the page: {details}");
        return reply.GetProperty("result").TryGetProperty("value", out var value) ? value : default;
    }

    /// <summary>Waits until an expression in the page is true.</summary>
    public Task UntilAsync(string expression, Func<string>? details = null) => Wait.UntilAsync(
        async () => (await EvaluateAsync(expression)).ValueKind == JsonValueKind.True,
        $"{expression} holds in the page",
        details: () => $"Complaints: {string.Join('\n', Complaints)}\n{details?.Invoke()}");

    /// <summary>Gives the page a size, and a dark or light scheme.</summary>
    public async Task ShowAsAsync(int width, int height, bool isDark)
    {
        await SendAsync("Emulation.setDeviceMetricsOverride", new JsonObject
        {
            ["width"] = width,
            ["height"] = height,
            ["deviceScaleFactor"] = 1,
            ["mobile"] = false,
        });
        await SendAsync("Emulation.setEmulatedMedia", new JsonObject
        {
            ["features"] = new JsonArray(new JsonObject { ["name"] = "prefers-color-scheme", ["value"] = isDark ? "dark" : "light" }),
        });
    }

    /// <summary>A picture of the whole page as PNG.</summary>
    public async Task<byte[]> PictureAsync() =>
        (await SendAsync("Page.captureScreenshot", new JsonObject { ["format"] = "png", ["captureBeyondViewport"] = true })).GetProperty("data").GetBytesFromBase64();

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        _socket.Abort();
        await _reading.WaitAsync(Wait.Ordinary);
        if (Started())
        {
            _process.Kill(entireProcessTree: true);
            await _process.WaitForExitAsync().WaitAsync(Wait.Ordinary);
        }

        _process.Dispose();
        _socket.Dispose();
        _oneSend.Dispose();
        _belongings.Dispose();
    }

    private bool Started()
    {
        try
        {
            return !_process.HasExited;
        }
        catch (InvalidOperationException)
        {
            return false;
        }
    }

    private async Task ConnectAsync()
    {
        _process.Start();
        _belongings.AddProcess(_process.Id);
        _process.BeginErrorReadLine();
        _process.BeginOutputReadLine();
        using var http = new HttpClient { Timeout = Wait.Ordinary };
        var port = await PortAsync();
        JsonElement page = default;
        await Wait.UntilAsync(
            async () =>
            {
                var list = JsonDocument.Parse(await http.GetStringAsync(new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/json/list"))));
                page = list.RootElement.EnumerateArray().FirstOrDefault(target => target.GetProperty("type").GetString() == "page");
                return page.ValueKind == JsonValueKind.Object;
            },
            "Chromium has a page",
            details: Output);
        await _socket.ConnectAsync(new Uri(page.GetProperty("webSocketDebuggerUrl").GetString()!), CancellationToken.None).WaitAsync(Wait.Ordinary);
        _reading = ReadAllAsync();
        foreach (var domain in (string[])["Page", "Runtime", "Log", "Network"])
            await SendAsync($"{domain}.enable");
    }

    private async Task<int> PortAsync()
    {
        var file = _belongings.At("profile/DevToolsActivePort");
        var port = 0;
        await Wait.UntilAsync(
            () => File.Exists(file) && int.TryParse(File.ReadLines(file).FirstOrDefault(), NumberStyles.None, CultureInfo.InvariantCulture, out port),
            "Chromium tells its port",
            details: Output);
        return port;
    }

    private async Task<JsonElement> SendAsync(string method, JsonObject? parameters = null)
    {
        var id = Interlocked.Increment(ref _lastId);
        var answer = _pending[id] = new TaskCompletionSource<JsonElement>(TaskCreationOptions.RunContinuationsAsynchronously);
        var message = new JsonObject { ["id"] = id, ["method"] = method, ["params"] = parameters ?? [] };
        await _oneSend.WaitAsync();
        try
        {
            await _socket.SendAsync(Encoding.UTF8.GetBytes(message.ToJsonString()), WebSocketMessageType.Text, endOfMessage: true, CancellationToken.None);
        }
        finally
        {
            _oneSend.Release();
        }

        var reply = await answer.Task.WaitAsync(Wait.Ordinary);
        return reply.TryGetProperty("error", out var error)
            ? throw new InvalidOperationException($"Chromium refused {method}: {error}")
            : reply.GetProperty("result");
    }

    private async Task ReadAllAsync()
    {
        var buffer = new byte[64 << 10];
        using var message = new MemoryStream();
        try
        {
            while (true)
            {
                var part = await _socket.ReceiveAsync(buffer, CancellationToken.None);
                if (part.MessageType == WebSocketMessageType.Close)
                    break;
                await message.WriteAsync(buffer.AsMemory(0, part.Count));
                if (!part.EndOfMessage)
                    continue;
                Take(JsonDocument.Parse(message.ToArray()).RootElement);
                message.SetLength(0);
            }
        }
        catch (Exception exception) when (exception is WebSocketException or OperationCanceledException)
        {
            // It has ended, or we are done with it; whoever waits for an answer is told.
        }

        foreach (var answer in _pending.Values)
            answer.TrySetException(new IOException($"Chromium has ended. {Output()}"));
    }

    private void Take(JsonElement message)
    {
        if (message.TryGetProperty("id", out var id))
        {
            if (_pending.TryRemove(id.GetInt32(), out var answer))
                answer.SetResult(message);
            return;
        }

        var parameters = message.GetProperty("params");
        switch (message.GetProperty("method").GetString())
        {
            case "Runtime.exceptionThrown":
                _complaints.Enqueue(parameters.ToString());
                break;
            case "Runtime.consoleAPICalled" when parameters.GetProperty("type").GetString() is "error" or "warning" or "assert":
                _complaints.Enqueue(parameters.GetProperty("args").ToString());
                break;
            case "Log.entryAdded" when parameters.GetProperty("entry").GetProperty("level").GetString() is "error" or "warning":
                _complaints.Enqueue(parameters.GetProperty("entry").ToString());
                break;
            case "Network.requestWillBeSent":
                _requests.Enqueue(new Uri(parameters.GetProperty("request").GetProperty("url").GetString()!));
                break;
            case "Fetch.requestPaused":
                _ = RewriteAsync(parameters);
                break;
        }
    }

    private async Task RewriteAsync(JsonElement paused)
    {
        var request = paused.GetProperty("requestId").GetString();
        try
        {
            var body = await SendAsync("Fetch.getResponseBody", new JsonObject { ["requestId"] = request });
            var text = body.GetProperty("body").GetString()!;
            if (body.GetProperty("base64Encoded").GetBoolean())
                text = Encoding.UTF8.GetString(Convert.FromBase64String(text));
            await SendAsync("Fetch.fulfillRequest", new JsonObject
            {
                ["requestId"] = request,
                ["responseCode"] = paused.GetProperty("responseStatusCode").GetInt32(),
                ["body"] = Convert.ToBase64String(Encoding.UTF8.GetBytes(_rewrite!(text))),
            });
        }
        catch (IOException)
        {
            // We are done with it.
        }
        catch (Exception exception)
        {
            _complaints.Enqueue($"An answer could not be rewritten: {exception}");
        }
    }

    private void Note(string? line)
    {
        lock (_errorOutput)
            _errorOutput.AppendLine(line);
    }

    private string Output()
    {
        lock (_errorOutput)
            return $"It printed: {_errorOutput}";
    }
}
