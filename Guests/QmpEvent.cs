using System.Text.Json;

namespace DistMigrate.Guests;

/// <summary>One QMP event.</summary>
/// <param name="Name">Such as <c>STOP</c>, <c>RESUME</c>, <c>MIGRATION</c>.</param>
/// <param name="Data">Its data object; of kind Undefined when the event has none.</param>
public sealed record QmpEvent(string Name, JsonElement Data)
{
    /// <summary>A text member of the data object, or null.</summary>
    public string? Text(string member) => Data.Text(member);
}
