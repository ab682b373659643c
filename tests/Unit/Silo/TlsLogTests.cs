using System.Net;
using DistMigrate.Silo;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Time.Testing;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class TlsLogTests
{
    [Fact]
    public void A_flood_of_refused_connections_gets_ten_lines_a_minute_and_a_count()
    {
        var lines = new Lines();
        var time = new FakeTimeProvider();
        var log = new TlsLog(lines, time);
        for (var i = 0; i < 1000; i++)
            log.Refused(new IPEndPoint(IPAddress.Loopback, i), "it has shown no certificate");
        Assert.Equal(10, lines.All.Count);
        Assert.Contains("127.0.0.1:9: it has shown no certificate", lines.All[9], StringComparison.Ordinal);

        time.Advance(TimeSpan.FromMinutes(1));
        log.Refused(null, "it has shown no certificate");
        Assert.Equal(12, lines.All.Count);
        Assert.Contains("990 further", lines.All[10], StringComparison.Ordinal);
    }

    private sealed class Lines : ILogger<TlsLog>
    {
        public List<string> All { get; } = [];

        public IDisposable? BeginScope<TState>(TState state) where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => true;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter) =>
            All.Add(formatter(state, exception));
    }
}
