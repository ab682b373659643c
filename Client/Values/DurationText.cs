using System.Globalization;

namespace DistMigrate.Client.Values;

/// <summary>Durations as people write them.</summary>
internal static class DurationText
{
    /// <summary>Such as <c>12 ms</c>, <c>0.42 s</c>, <c>17.3 s</c>, <c>2 min 05 s</c>, <c>1 h 02 min</c> or <c>7 d 02 h</c>.</summary>
    public static string Format(TimeSpan duration)
    {
        var culture = CultureInfo.InvariantCulture;
        return duration.TotalSeconds switch
        {
            0 => "0 s",
            < 0.0995 => string.Create(culture, $"{duration.TotalMilliseconds:0.#} ms"),
            < 9.995 => string.Create(culture, $"{duration.TotalSeconds:0.00} s"),
            < 59.95 => string.Create(culture, $"{duration.TotalSeconds:0.0} s"),
            < 3599.5 => string.Create(culture, $"{Whole(duration) / 60} min {Whole(duration) % 60:00} s"),
            < 2 * 86_400 => string.Create(culture, $"{Whole(duration) / 3600} h {Whole(duration) / 60 % 60:00} min"),
            _ => string.Create(culture, $"{Whole(duration) / 86_400} d {Whole(duration) / 3600 % 24:00} h"),
        };
    }

    /// <summary>
    /// Reads <c>30s</c>, <c>5m</c>, <c>1h30m</c>, <c>500ms</c>, <c>1d</c>; a number alone is seconds.
    /// </summary>
    public static bool TryParse(string text, out TimeSpan duration)
    {
        duration = TimeSpan.Zero;
        var rest = text.AsSpan().Trim();
        if (rest.IsEmpty)
            return false;
        if (decimal.TryParse(rest, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var seconds))
            return TryTake(seconds, TimeSpan.TicksPerSecond, ref duration);
        while (!rest.IsEmpty)
        {
            var digits = 0;
            while (digits < rest.Length && (char.IsAsciiDigit(rest[digits]) || rest[digits] == '.'))
                digits++;
            var letters = digits;
            while (letters < rest.Length && char.IsAsciiLetter(rest[letters]))
                letters++;
            var ticks = rest[digits..letters] switch
            {
                "ms" => TimeSpan.TicksPerMillisecond,
                "s" or "sec" => TimeSpan.TicksPerSecond,
                "m" or "min" => TimeSpan.TicksPerMinute,
                "h" => TimeSpan.TicksPerHour,
                "d" => TimeSpan.TicksPerDay,
                _ => 0,
            };
            if (ticks == 0
                || !decimal.TryParse(rest[..digits], NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
                || !TryTake(number, ticks, ref duration))
                return false;
            rest = rest[letters..].TrimStart();
        }
        return true;
    }

    private static long Whole(TimeSpan duration) => (long)Math.Round(duration.TotalSeconds);

    private static bool TryTake(decimal number, long ticks, ref TimeSpan duration)
    {
        // A century is beyond every use and well within the range of a TimeSpan.
        if (number > 36_500m * TimeSpan.TicksPerDay / ticks)
            return false;
        duration += TimeSpan.FromTicks((long)(number * ticks));
        return true;
    }
}
