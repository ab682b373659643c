using System.Text.Json.Serialization;

namespace DistMigrate.Client.Demo;

[JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class DemoJson : JsonSerializerContext;
