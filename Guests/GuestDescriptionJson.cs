using System.Text.Json.Serialization;

namespace DistMigrate.Guests;

/// <summary>How a <see cref="GuestDescription"/> is written as JSON: source-generated, names in camel case.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(GuestDescription))]
public sealed partial class GuestDescriptionJson : JsonSerializerContext;
