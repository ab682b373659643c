using System.Text.Json.Serialization;

namespace DistMigrate.MappedRam.Journal;

/// <summary>The JSON of the identity: kebab-case names as in QMP. Unknown members are ignored, missing ones are an error.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    RespectNullableAnnotations = true,
    RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(JournalIdentity))]
internal sealed partial class JournalJson : JsonSerializerContext;
