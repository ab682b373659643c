using System.Text.Json;

namespace DistMigrate.Guests;

/// <summary>Reads the members of a QMP reply, which another version of QEMU may shape in another way.</summary>
internal static class QmpReply
{
    /// <summary>A text member, or null when it is not there.</summary>
    public static string? Text(this JsonElement element, string member) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(member, out var value) && value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    /// <summary>A text member that must be there.</summary>
    /// <exception cref="GuestException">CommandFailed.</exception>
    public static string RequiredText(this JsonElement element, string member) => element.Text(member) ?? throw Unknown(element, member);

    /// <summary>A truth value that must be there.</summary>
    /// <exception cref="GuestException">CommandFailed.</exception>
    public static bool RequiredFlag(this JsonElement element, string member) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(member, out var value) && value.ValueKind is JsonValueKind.True or JsonValueKind.False
            ? value.GetBoolean()
            : throw Unknown(element, member);

    /// <summary>A whole number that must be there.</summary>
    /// <exception cref="GuestException">CommandFailed.</exception>
    public static long RequiredNumber(this JsonElement element, string member) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(member, out var value) && value.ValueKind == JsonValueKind.Number && value.TryGetInt64(out var number)
            ? number
            : throw Unknown(element, member);

    /// <summary>The items of a reply that must be a list.</summary>
    /// <exception cref="GuestException">CommandFailed.</exception>
    public static JsonElement.ArrayEnumerator Items(this JsonElement element) =>
        element.ValueKind == JsonValueKind.Array ? element.EnumerateArray() : throw Unknown(element, "a list");

    /// <summary>The items of a member that may be missing.</summary>
    public static JsonElement.ArrayEnumerator Items(this JsonElement element, string member) =>
        element.ValueKind == JsonValueKind.Object && element.TryGetProperty(member, out var value) && value.ValueKind == JsonValueKind.Array ? value.EnumerateArray() : default;

    private static GuestException Unknown(JsonElement element, string what)
    {
        var text = element.ValueKind == JsonValueKind.Undefined ? "" : element.GetRawText();
        return new GuestException(GuestFault.CommandFailed,
            $"A reply of QEMU lacks {what}: {(text.Length > 200 ? text[..200] : text)}. This QEMU version answers in a way that is not known here.");
    }
}
