using System.Globalization;
using Microsoft.Data.Sqlite;
using Orleans.Serialization;
using Orleans.Storage;

namespace DistMigrate.Silo;

/// <summary>
/// Grain state in one SQLite file, for a machine without a server: write-ahead log, a full sync at every commit, and a version of
/// each row as its etag. State is in Orleans' own form, whose members are numbered, so that fields may be added.
/// </summary>
internal sealed class SqliteGrainStorage : IGrainStorage, IDisposable
{
    private readonly Serializer _serializer;
    private readonly SqliteConnection _connection;

    // One connection with one writer: SQLite takes one writer at a time anyway, and a commit takes milliseconds.
    private readonly SemaphoreSlim _turn = new(1, 1);

    public SqliteGrainStorage(string path, Serializer serializer)
    {
        _serializer = serializer;
        _connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Pooling = false }.ConnectionString);
        _connection.Open();
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        Execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA busy_timeout = 5000;");
        Execute("""
            CREATE TABLE IF NOT EXISTS grain_state (
                name TEXT NOT NULL, grain TEXT NOT NULL, version INTEGER NOT NULL, state BLOB,
                PRIMARY KEY (name, grain)) WITHOUT ROWID;
            """);
    }

    public Task ReadStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => InTurnAsync(() =>
    {
        using var command = Command("SELECT version, state FROM grain_state WHERE name = $name AND grain = $grain", stateName, grainId);
        using var row = command.ExecuteReader();
        if (!row.Read())
        {
            grainState.RecordExists = false;
            grainState.ETag = null;
            grainState.State = Activator.CreateInstance<T>();
            return;
        }

        grainState.ETag = row.GetInt64(0).ToString(CultureInfo.InvariantCulture);
        grainState.RecordExists = !row.IsDBNull(1);
        grainState.State = grainState.RecordExists ? _serializer.Deserialize<T>(row.GetFieldValue<byte[]>(1)) : Activator.CreateInstance<T>();
    });

    public Task WriteStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState)
    {
        var bytes = _serializer.SerializeToArray(grainState.State);
        return InTurnAsync(() =>
        {
            Store(stateName, grainId, grainState, bytes);
            grainState.RecordExists = true;
        });
    }

    public Task ClearStateAsync<T>(string stateName, GrainId grainId, IGrainState<T> grainState) => InTurnAsync(() =>
    {
        // The row stays with its version, so that a writer with an old etag is still refused.
        Store(stateName, grainId, grainState, null);
        grainState.RecordExists = false;
        grainState.State = Activator.CreateInstance<T>();
    });

    public void Dispose()
    {
        _connection.Dispose();
        _turn.Dispose();
    }

    private void Store<T>(string stateName, GrainId grainId, IGrainState<T> grainState, byte[]? bytes)
    {
        var expected = grainState.ETag is null ? 0 : long.Parse(grainState.ETag, CultureInfo.InvariantCulture);
        using var command = Command(
            expected == 0
                ? "INSERT INTO grain_state VALUES ($name, $grain, 1, $state) ON CONFLICT DO NOTHING"
                : "UPDATE grain_state SET version = version + 1, state = $state WHERE name = $name AND grain = $grain AND version = $expected",
            stateName, grainId);
        command.Parameters.AddWithValue("$state", (object?)bytes ?? DBNull.Value);
        if (expected > 0)
            command.Parameters.AddWithValue("$expected", expected);
        if (command.ExecuteNonQuery() == 0)
        {
            throw new InconsistentStateException(
                $"The state '{stateName}' of {grainId} was changed by another activation.", storedEtag: "unknown", currentEtag: grainState.ETag ?? "none");
        }

        grainState.ETag = (expected + 1).ToString(CultureInfo.InvariantCulture);
    }

    private SqliteCommand Command(string text, string stateName, GrainId grainId)
    {
        var command = _connection.CreateCommand();
        command.CommandText = text;
        command.Parameters.AddWithValue("$name", stateName);
        command.Parameters.AddWithValue("$grain", grainId.ToString());
        return command;
    }

    private void Execute(string text)
    {
        using var command = _connection.CreateCommand();
        command.CommandText = text;
        command.ExecuteNonQuery();
    }

    /// <summary>Off the grain's scheduler: Microsoft.Data.Sqlite has no asynchronous calls, and a commit waits for the disk.</summary>
    private async Task InTurnAsync(Action work)
    {
        await _turn.WaitAsync();
        try
        {
            await Task.Run(work);
        }
        finally
        {
            _turn.Release();
        }
    }
}
