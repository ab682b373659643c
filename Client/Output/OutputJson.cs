using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace DistMigrate.Client.Output;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
    WriteIndented = true)]
[JsonSerializable(typeof(MigrationDocument))]
[JsonSerializable(typeof(MigrationListDocument))]
[JsonSerializable(typeof(HostDocument))]
[JsonSerializable(typeof(HostsDocument))]
[JsonSerializable(typeof(QueueDocument))]
[JsonSerializable(typeof(BlocksDocument))]
[JsonSerializable(typeof(ImageDocument))]
[JsonSerializable(typeof(VerifyDocument))]
[JsonSerializable(typeof(LeftoversDocument))]
[JsonSerializable(typeof(DoctorDocument))]
[JsonSerializable(typeof(DemoDocument))]
[JsonSerializable(typeof(VersionDocument))]
internal sealed partial class OutputJson : JsonSerializerContext
{
    public const int Schema = 1;

    // Not a plain initializer: it could run before the generated part has set the options.
    private static readonly Lazy<OutputJson> Relaxed = new(MakeRelaxed);

    /// <summary>The context to write with: paths and names appear as they are, not as \u0026 and the like.</summary>
    public static OutputJson Writing => Relaxed.Value;

    /// <summary>Writes a document to standard output.</summary>
    public static void Write<T>(Terminal terminal, T document, JsonTypeInfo<T> type) =>
        terminal.Data(JsonSerializer.Serialize(document, type));

    /// <summary>The name of an enumeration's member as QEMU's monitor would spell it: <c>no-space</c>.</summary>
    public static string NameOf<T>(T member) where T : struct, Enum => JsonNamingPolicy.KebabCaseLower.ConvertName(member.ToString()!);

    private static OutputJson MakeRelaxed() =>
        new(new JsonSerializerOptions(Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });
}
