using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace DistMigrate.Guests;

/// <summary>
/// Takes secrets out of QEMU's argument list before it is written beside an image. A value counts as secret when the last part of
/// its dotted key is in <see cref="SecretKeys"/>: in <c>key=value</c> options, in JSON options at any depth, and in a guest kernel's
/// command line. Besides: <c>data</c> of <c>-object secret</c>, <c>string</c> of <c>-fw_cfg</c>, <c>value</c> of <c>-smbios</c>
/// (systemd credentials travel there), and user and password of a URL. Keys that name a secret object by its id
/// (<c>password-secret</c>, <c>key-secret</c>, <c>keyid</c>, <c>passwordid</c>) and paths of key files stay.
/// </summary>
internal static partial class ArgumentRedaction
{
    /// <summary>What stands where a secret was.</summary>
    public const string Mark = "***";

    /// <summary>The keys whose values are secret.</summary>
    internal static readonly IReadOnlySet<string> SecretKeys = new HashSet<string>(StringComparer.OrdinalIgnoreCase)
    {
        "password", "passwd", "passphrase", "pass", "pwd", "secret", "key", "psk", "token", "cookie", "rxcookie", "txcookie",
        "osk", "credential", "credentials", "set_credential", "set_credential_binary", "private-key", "privatekey", "api-key", "apikey",
    };

    /// <summary>The arguments without their secrets, in the same number and order.</summary>
    public static IReadOnlyList<string> Redact(IReadOnlyList<string> arguments)
    {
        var clean = new string[arguments.Count];
        for (var i = 0; i < clean.Length; i++)
            clean[i] = One(i > 0 ? arguments[i - 1].TrimStart('-') : "", arguments[i]);
        return clean;
    }

    /// <summary>A single text, such as a disk's file name, without its secrets.</summary>
    public static string Redact(string text) => One("", text);

    private static string One(string option, string argument)
    {
        // A JSON option, also behind the json: prefix of a block device's pseudo file name.
        var brace = argument.IndexOf('{');
        if (brace >= 0 && argument[..brace] is "" or "json:" && TryJson(argument[brace..]) is { } json)
            return argument[..brace] + json;
        var isSecretObject = option == "object" && (argument.StartsWith("secret,", StringComparison.Ordinal) || argument.Contains("qom-type=secret", StringComparison.Ordinal));
        var clean = option == "append"
            ? KernelOption().Replace(argument, m => IsSecret(m.Groups["key"].Value) ? m.Groups["key"].Value + "=" + Mark : m.Value)
            : Options(argument);
        return UrlUser().Replace(clean, "$1" + Mark + "@");

        // A value may hold options of its own, as rbd:pool/image:id=x:key=y does.
        string Options(string text) => QemuOption().Replace(text, m =>
        {
            var key = m.Groups["key"].Value;
            return $"{key}={(IsSecret(key) || IsSecretHere(key) ? Mark : Options(m.Groups["value"].Value))}";
        });

        bool IsSecretHere(string key) => (option, key) switch
        {
            ("object", "data") => isSecretObject,
            ("fw_cfg", "string") => true,
            ("smbios", "value") => true,
            _ => false,
        };
    }

    private static bool IsSecret(string key) => SecretKeys.Contains(key[(key.LastIndexOf('.') + 1)..]);

    private static string? TryJson(string text)
    {
        try
        {
            var node = JsonNode.Parse(text);
            Walk(node);
            return node?.ToJsonString();
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static void Walk(JsonNode? node)
    {
        if (node is JsonArray array)
        {
            for (var i = 0; i < array.Count; i++)
            {
                if (Text(array[i]) is { } text)
                    array[i] = One("", text);
                else
                    Walk(array[i]);
            }
        }

        if (node is not JsonObject item)
            return;
        var isSecretObject = Text(item["qom-type"]) == "secret";
        foreach (var (key, value) in item.ToList())
        {
            if (IsSecret(key) || (isSecretObject && key == "data"))
                item[key] = Mark;
            else if (Text(value) is { } text)
                item[key] = One("", text);
            else
                Walk(value);
        }
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    // QEMU doubles a comma that belongs to a value; rbd parts its own options by colons.
    [GeneratedRegex(@"(?<=^|[,:;?&\s])(?<key>[\w.\-]+)=(?<value>(?:,,|[^,])*)")]
    private static partial Regex QemuOption();

    [GeneratedRegex("""(?<=^|\s)(?<key>[\w.\-]+)=(?:"[^"]*"|\S)*""")]
    private static partial Regex KernelOption();

    [GeneratedRegex(@"(\w+://)[^/@\s,]*@")]
    private static partial Regex UrlUser();
}
