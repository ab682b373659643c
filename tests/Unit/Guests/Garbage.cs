namespace DistMigrate.Tests.Unit.Guests;

/// <summary>Damages a stream.</summary>
internal static class Garbage
{
    /// <summary>A copy in which a byte is another, or some are missing, some more are there, or the rest is missing.</summary>
    public static byte[] In(byte[] whole, int at, byte value, int kind, int count)
    {
        var bytes = whole.ToList();
        switch (kind)
        {
            case 0:
                bytes[at] = value;
                break;
            case 1:
                bytes.RemoveRange(at, Math.Min(count, bytes.Count - at));
                break;
            case 2:
                bytes.InsertRange(at, Enumerable.Repeat(value, count));
                break;
            default:
                bytes.RemoveRange(at, bytes.Count - at);
                break;
        }

        return [.. bytes];
    }
}
