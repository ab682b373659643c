using System.Globalization;

namespace DistMigrate.Client.Values;

/// <summary>Moments in the past as people write them.</summary>
internal static class MomentText
{
    private static readonly string[] Forms = ["yyyy-MM-dd", "yyyy-MM-dd'T'HH:mmK", "yyyy-MM-dd'T'HH:mm:ssK", "yyyy-MM-dd HH:mm", "yyyy-MM-dd HH:mm:ss"];

    /// <summary>
    /// Reads how long ago, such as <c>2h</c> or <c>7d</c>, or a date of ISO 8601 with or without a time; in local time unless it names a zone.
    /// </summary>
    public static bool TryParse(string text, TimeProvider time, out DateTimeOffset moment)
    {
        moment = time.GetUtcNow();
        if (DurationText.TryParse(text, out var ago))
        {
            moment -= ago;
            return true;
        }
        // A zone makes it UTC. The offset of a local zone needs some room below.
        if (!DateTime.TryParseExact(text, Forms, CultureInfo.InvariantCulture, DateTimeStyles.AdjustToUniversal, out var date) || date.Year < 1900)
            return false;
        moment = date.Kind == DateTimeKind.Utc ? new DateTimeOffset(date) : new DateTimeOffset(date, time.LocalTimeZone.GetUtcOffset(date));
        return true;
    }
}
