namespace DistMigrate.Guests;

/// <summary>
/// The text of one QEMU option, such as <c>file,id=serial,path=/run/a,,b</c>: parts between single commas, a doubled comma being one
/// of a value. What is not set stays as it was, letter by letter.
/// </summary>
internal sealed class QemuOption
{
    private readonly List<string> _parts = [];

    private QemuOption(string text)
    {
        var start = 0;
        for (var i = 0; i < text.Length; i++)
        {
            if (text[i] != ',')
                continue;
            if (i + 1 < text.Length && text[i + 1] == ',')
            {
                i++;
                continue;
            }

            _parts.Add(text[start..i]);
            start = i + 1;
        }

        _parts.Add(text[start..]);
    }

    /// <summary>The value of the first part, which QEMU takes without a key.</summary>
    public string First
    {
        get => Unescape(_parts[0]);
        set => _parts[0] = Escape(value);
    }

    /// <summary>All keys with their values; a key without a value (<c>server</c>) has <c>on</c>.</summary>
    public IEnumerable<(string Key, string Value)> Pairs => _parts.Select(Pair);

    /// <summary>The value of a key, the last one as in QEMU; null without one.</summary>
    public string? this[string key] => Pairs.LastOrDefault(pair => pair.Key == key).Value;

    public static QemuOption Parse(string text) => new(text);

    public static string Escape(string value) => value.Replace(",", ",,", StringComparison.Ordinal);

    /// <summary>Changes the value of a key wherever it stands.</summary>
    public void Change(string key, Func<string, string> change)
    {
        for (var i = 0; i < _parts.Count; i++)
        {
            if (Pair(_parts[i]) is var (found, value) && found == key)
                _parts[i] = $"{key}={Escape(change(value))}";
        }
    }

    /// <summary>Whether a key of two states is on; <c>noKEY</c> is off, as in the older way of writing.</summary>
    public bool IsOn(string key)
    {
        var isOn = false;
        foreach (var (found, value) in Pairs)
        {
            if (found == key)
                isOn = value is "on" or "yes" or "true" or "y";
            else if (found == "no" + key)
                isOn = false;
        }

        return isOn;
    }

    public override string ToString() => string.Join(',', _parts);

    private static (string Key, string Value) Pair(string part)
    {
        var equals = part.IndexOf('=', StringComparison.Ordinal);
        return equals < 0 ? (part, "on") : (part[..equals], Unescape(part[(equals + 1)..]));
    }

    private static string Unescape(string value) => value.Replace(",,", ",", StringComparison.Ordinal);
}
