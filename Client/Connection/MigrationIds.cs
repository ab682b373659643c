using System.Security.Cryptography;

namespace DistMigrate.Client.Connection;

/// <summary>
/// Makes ids of migrations: <c>m-</c>, nine characters of time and five of chance, in Crockford's base 32 (no i, l, o, u),
/// so that ids sort by the time of their making and can be read out aloud.
/// </summary>
internal static class MigrationIds
{
    public const int Length = 2 + TimeDigits + RandomDigits;

    private const string Alphabet = "0123456789abcdefghjkmnpqrstvwxyz";
    private const int TimeDigits = 9;
    private const int RandomDigits = 5;

    public static string Next(TimeProvider time) => string.Create(Length, time.GetUtcNow().ToUnixTimeMilliseconds(), static (id, milliseconds) =>
    {
        id[0] = 'm';
        id[1] = '-';
        Write(id.Slice(2, TimeDigits), milliseconds);
        Write(id[(2 + TimeDigits)..], RandomNumberGenerator.GetInt32(1 << (5 * RandomDigits)));
    });

    private static void Write(Span<char> digits, long value)
    {
        for (var i = digits.Length - 1; i >= 0; i--)
        {
            digits[i] = Alphabet[(int)(value & 31)];
            value >>= 5;
        }
    }
}
