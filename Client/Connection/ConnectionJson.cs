using System.Text.Json.Serialization;

namespace DistMigrate.Client.Connection;

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
    ReadCommentHandling = System.Text.Json.JsonCommentHandling.Skip,
    AllowTrailingCommas = true)]
[JsonSerializable(typeof(SettingsLayer))]
internal sealed partial class ConnectionJson : JsonSerializerContext;

/// <summary>The silo's own file is written in camel case, and a newer silo may say more in it.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(SiloFile))]
internal sealed partial class SiloFileJson : JsonSerializerContext;
