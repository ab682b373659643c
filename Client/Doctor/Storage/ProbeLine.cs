using System.Text.Json.Serialization;

namespace DistMigrate.Client.Doctor.Storage;

/// <summary>What the process that looks at a folder tells the command, a line each: a check begins, or, with a finding, has ended.</summary>
/// <param name="Check">The check's id.</param>
/// <param name="Finding">Its outcome; null when it begins.</param>
/// <param name="Resolved">The folder with all links followed, once that is known.</param>
internal sealed record ProbeLine(string Check, Finding? Finding = null, string? Resolved = null);

[JsonSerializable(typeof(ProbeLine))]
internal sealed partial class ProbeLineJson : JsonSerializerContext;
