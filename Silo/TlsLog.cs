using System.Net;
using DistMigrate.Tls;

namespace DistMigrate.Silo;

/// <summary>Tells the log whom the silo refused. Who floods it with connections gets a few lines a minute, and a count.</summary>
internal sealed partial class TlsLog(ILogger<TlsLog> logger, TimeProvider time) : ITlsReport
{
    private const int LinesInWindow = 10;
    private static readonly TimeSpan Window = TimeSpan.FromMinutes(1);

    private readonly Lock _lock = new();
    private long? _windowStart;
    private int _inWindow;

    public void Refused(EndPoint? peer, string reason)
    {
        int leftOut;
        lock (_lock)
        {
            leftOut = 0;
            if (_windowStart is not { } start || time.GetElapsedTime(start) >= Window)
            {
                leftOut = Math.Max(0, _inWindow - LinesInWindow);
                _windowStart = time.GetTimestamp();
                _inWindow = 0;
            }

            if (++_inWindow > LinesInWindow)
                return;
        }

        if (leftOut > 0)
            LogLeftOut(logger, leftOut);
        LogRefused(logger, peer?.ToString() ?? "an unknown address", reason);
    }

    public void Renewed(TlsCredentials credentials) => LogUsed(logger, credentials.Name, credentials.ValidUntil);

    public void NotRenewed(TlsException reason) => LogNotRenewed(logger, reason.Message);

    [LoggerMessage(Level = LogLevel.Warning, Message = "No TLS connection with {Peer}: {Reason}")]
    private static partial void LogRefused(ILogger logger, string peer, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} further TLS connections came to nothing, which were not told one by one")]
    private static partial void LogLeftOut(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Information, Message = "New TLS connections show {Certificate}, valid until {Until:u}")]
    private static partial void LogUsed(ILogger logger, string certificate, DateTimeOffset until);

    [LoggerMessage(Level = LogLevel.Warning, Message = "The TLS files have changed and cannot be used, so that the ones read before stay in use: {Reason}")]
    private static partial void LogNotRenewed(ILogger logger, string reason);
}
