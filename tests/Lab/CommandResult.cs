using System.Text.Json;
using Xunit;

namespace DistMigrate.Tests.Lab;

/// <summary>How a <c>distmigrate</c> command ended.</summary>
/// <param name="Command">Its arguments, for messages.</param>
/// <param name="ExitCode">Its exit code.</param>
/// <param name="Output">Everything on stdout.</param>
/// <param name="ErrorOutput">Everything on stderr.</param>
public sealed record CommandResult(string Command, int ExitCode, string Output, string ErrorOutput)
{
    /// <summary>Stdout as the one JSON document that <c>--output json</c> promises.</summary>
    public JsonElement Json
    {
        get
        {
            try
            {
                return JsonDocument.Parse(Output).RootElement;
            }
            catch (JsonException exception)
            {
                throw new InvalidOperationException($"Its stdout is not JSON ({exception.Message}): {this}", exception);
            }
        }
    }

    /// <summary>Fails the test, with everything the command said, unless it ended with this exit code.</summary>
    public CommandResult ExpectExit(int exitCode)
    {
        if (ExitCode != exitCode)
            Assert.Fail($"Exit code {exitCode} was expected: {this}");
        return this;
    }

    /// <summary>Fails the test unless it ended with exit code 0.</summary>
    public CommandResult ExpectOk() => ExpectExit(0);

    /// <inheritdoc/>
    public override string ToString() => $"distmigrate {Command} ended with exit code {ExitCode}\nstdout: {Output}\nstderr: {ErrorOutput}";
}
