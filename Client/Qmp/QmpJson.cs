using System.Text.Json.Serialization;

namespace DistMigrate.Client.Qmp;

[JsonSerializable(typeof(Dictionary<string, string>))]
internal sealed partial class QmpJson : JsonSerializerContext;
