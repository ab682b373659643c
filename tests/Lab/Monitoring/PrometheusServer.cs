using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text.Json;

namespace DistMigrate.Tests.Lab.Monitoring;

/// <summary>
/// A real Prometheus with the configuration and rules of <c>deploy/prometheus</c>, but that it scrapes and evaluates every second. Disposing
/// ends it and deletes its files.
/// </summary>
public sealed class PrometheusServer : IAsyncDisposable
{
    private readonly Belongings _belongings;
    private readonly HttpClient _http;
    private readonly Process _process;

    private PrometheusServer(Belongings belongings, Process process, int port)
    {
        _belongings = belongings;
        _process = process;
        _http = new HttpClient { Timeout = Wait.Ordinary, BaseAddress = new Uri(string.Create(CultureInfo.InvariantCulture, $"http://127.0.0.1:{port}/")) };
    }

    /// <summary>What it logged.</summary>
    private string Log => File.ReadAllText(_belongings.At("log"));

    /// <summary>Starts one and waits until it answers.</summary>
    /// <param name="targets">For each host, the address of its silo's metrics, such as 127.0.0.1:9464.</param>
    public static async Task<PrometheusServer> StartAsync(IReadOnlyDictionary<string, string> targets)
    {
        ArgumentNullException.ThrowIfNull(targets);
        if (LabPrograms.Missing(LabNeeds.Prometheus) is { } missing)
        {
            throw new InvalidOperationException(missing);
        }

        var belongings = Belongings.Create();
        PrometheusServer server;
        try
        {
            var configuration = Configure(belongings, targets);
            var port = FreePort();
            var start = new ProcessStartInfo("sh",
            [
                "-c", "exec prometheus \"$@\" 2>\"$0\"", belongings.At("log"),
                $"--config.file={configuration}", $"--storage.tsdb.path={belongings.At("data")}",
                string.Create(CultureInfo.InvariantCulture, $"--web.listen-address=127.0.0.1:{port}"),
            ]);
            var process = Process.Start(start)!;
            belongings.AddProcess(process.Id);
            server = new PrometheusServer(belongings, process, port);
        }
        catch
        {
            belongings.Dispose();
            throw;
        }

        try
        {
            await Wait.UntilAsync(server.IsReadyAsync, "Prometheus answers", details: () => server.Log);
            return server;
        }
        catch
        {
            await server.DisposeAsync();
            throw;
        }
    }

    /// <summary>Evaluates an expression for each second of a time.</summary>
    /// <returns>The series that have a number at some second.</returns>
    /// <exception cref="InvalidOperationException">Prometheus refuses it; the message says why.</exception>
    public async Task<IReadOnlyList<PrometheusSeries>> QueryAsync(string expression, DateTimeOffset from, DateTimeOffset to)
    {
        var data = await PostAsync("api/v1/query_range", ("query", expression), ("start", Seconds(from)), ("end", Seconds(to)), ("step", "1"));
        return [.. data.GetProperty("result").EnumerateArray().Select(PrometheusSeries.Of).Where(series => series.Values.Any(double.IsFinite))];
    }

    /// <summary>Evaluates an expression as of now.</summary>
    /// <returns>What it gives.</returns>
    public async Task<IReadOnlyList<PrometheusSeries>> QueryAsync(string expression)
    {
        var data = await PostAsync("api/v1/query", ("query", expression));
        return [.. data.GetProperty("result").EnumerateArray().Select(PrometheusSeries.Of)];
    }

    /// <summary>Waits until an expression gives something.</summary>
    public Task WaitForAsync(string expression, TimeSpan? limit = null, Func<string>? details = null) =>
        Wait.UntilAsync(async () => (await QueryAsync(expression)).Count > 0, $"Prometheus has {expression}", limit, details);

    /// <summary>Its rules: each one's name, whether it is an alert, and its expression.</summary>
    public async Task<IReadOnlyList<(string Name, bool IsAlert, string Expression)>> RulesAsync()
    {
        var data = Data(await _http.GetStringAsync(new Uri("api/v1/rules", UriKind.Relative)));
        return
        [
            .. from each in data.GetProperty("groups").EnumerateArray()
               from rule in each.GetProperty("rules").EnumerateArray()
               select (rule.GetProperty("name").GetString()!, rule.GetProperty("type").GetString() == "alerting", rule.GetProperty("query").GetString()!),
        ];
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.Kill();
            await _process.WaitForExitAsync().WaitAsync(Wait.Ordinary);
        }

        _process.Dispose();
        _http.Dispose();
        await Task.Run(_belongings.Dispose);
    }

    /// <summary>A copy of what is deployed, with this machine's targets and a faster pace.</summary>
    private static string Configure(Belongings belongings, IReadOnlyDictionary<string, string> targets)
    {
        var source = Repository.Path("deploy/prometheus");
        var folder = belongings.MakeFolder("prometheus");
        foreach (var file in Directory.EnumerateFiles(source, "*.yml", SearchOption.AllDirectories))
        {
            var copy = Path.Combine(folder, Path.GetRelativePath(source, file));
            Directory.CreateDirectory(Path.GetDirectoryName(copy)!);
            File.Copy(file, copy);
        }

        var configuration = Path.Combine(folder, "prometheus.yml");
        var text = File.ReadAllText(configuration);
        foreach (var setting in (string[])["scrape_interval: 15s", "scrape_timeout: 5s", "evaluation_interval: 15s"])
        {
            if (!text.Contains(setting, StringComparison.Ordinal))
            {
                throw new InvalidOperationException($"prometheus.yml has no {setting} any more, which is to be 1s here.");
            }

            text = text.Replace(setting, setting[..setting.IndexOf(' ', StringComparison.Ordinal)] + " 1s", StringComparison.Ordinal);
        }

        File.WriteAllText(configuration, text);
        File.WriteAllLines(
            Path.Combine(folder, "targets", "silos.yml"),
            targets.SelectMany(target => new[] { $"- targets: [ \"{target.Value}\" ]", $"  labels: {{ host: {target.Key} }}" }));
        return configuration;
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static string Seconds(DateTimeOffset time) => (time.ToUnixTimeMilliseconds() / 1000.0).ToString(CultureInfo.InvariantCulture);

    private static JsonElement Data(string answer) => JsonDocument.Parse(answer).RootElement.GetProperty("data");

    private async Task<bool> IsReadyAsync()
    {
        if (_process.HasExited)
        {
            throw new InvalidOperationException($"Prometheus ended at once: {Log}");
        }

        try
        {
            using var answer = await _http.GetAsync(new Uri("-/ready", UriKind.Relative));
            return answer.IsSuccessStatusCode;
        }
        catch (HttpRequestException)
        {
            return false;
        }
    }

    private async Task<JsonElement> PostAsync(string path, params IEnumerable<(string Name, string Value)> fields)
    {
        using var content = new FormUrlEncodedContent(fields.Select(field => KeyValuePair.Create(field.Name, field.Value)));
        using var answer = await _http.PostAsync(new Uri(path, UriKind.Relative), content);
        var text = await answer.Content.ReadAsStringAsync();
        return answer.IsSuccessStatusCode ? Data(text) : throw new InvalidOperationException($"Prometheus refuses {string.Join(", ", fields)}: {text}");
    }
}
