using System.Text.Json;
using System.Text.Json.Serialization;
using DistMigrate.Posix;

namespace DistMigrate.Guests;

/// <summary>What is on disk about a launched QEMU, so that a later process finds and ends it.</summary>
/// <param name="Guest">The guest's name.</param>
/// <param name="Pid">QEMU's process; 0 before it is known.</param>
/// <param name="StartTime">When it started, in clock ticks since boot; 0 before it is known.</param>
/// <param name="BootId">The boot of the machine that these ticks belong to.</param>
/// <param name="Launched">When it was launched.</param>
/// <param name="Arguments">Its program and arguments without secrets, for people.</param>
/// <param name="MonitorPath">Our monitor socket.</param>
/// <param name="MemoryFiles">Files to be removed once it is gone.</param>
/// <param name="Sockets">Sockets and pipes to be removed as well.</param>
internal sealed record LaunchRecord(
    string Guest, int Pid, long StartTime, string BootId, DateTimeOffset Launched, IReadOnlyList<string> Arguments,
    string MonitorPath, IReadOnlyList<string> MemoryFiles, IReadOnlyList<string> Sockets)
{
    private const int MaxLength = 4 << 20;

    public static string PathIn(string folder) => Path.Combine(folder, "launch.json");

    public static string LogIn(string folder) => Path.Combine(folder, "qemu.log");

    public static string ThisBoot() => File.ReadAllText("/proc/sys/kernel/random/boot_id").Trim();

    /// <summary>The record in a launch's folder; null without one.</summary>
    /// <exception cref="GuestException">Launch: it is damaged, or cannot be read.</exception>
    public static LaunchRecord? Read(string folder)
    {
        var path = PathIn(folder);
        try
        {
            var file = new FileInfo(path);
            if (!file.Exists)
                return null;
            if (file.Length > MaxLength)
                throw Damaged(path, $"it has {file.Length} bytes");
            using var stream = file.OpenRead();
            return JsonSerializer.Deserialize(stream, LaunchRecordJson.Default.LaunchRecord) ?? throw Damaged(path, "it is empty");
        }
        catch (JsonException e)
        {
            throw Damaged(path, e.Message);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new GuestException(GuestFault.Launch, $"{path} cannot be read: {e.Message} Let the silo's user read it.", e);
        }
    }

    /// <summary>Writes it whole and durable, in place of an earlier one.</summary>
    /// <exception cref="ErrnoException">The disk failed.</exception>
    public void Write(string folder)
    {
        var path = PathIn(folder);
        var temporary = path + ".new";
        using (var file = Libc.Open(temporary, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Truncate))
        {
            Libc.PWriteExactly(file, JsonSerializer.SerializeToUtf8Bytes(this, LaunchRecordJson.Default.LaunchRecord), 0);
            Libc.FSync(file);
        }

        Libc.Rename(temporary, path, replace: true);
        Libc.FSyncFolder(folder);
    }

    private static GuestException Damaged(string path, string why) => new(GuestFault.Launch,
        $"{path}, the record of a launched QEMU, is damaged: {why}. Look whether that QEMU still runs (its monitor and log are named beside it), end it, and remove the file.");
}

/// <summary>Kebab-case names as in QMP, indented for people.</summary>
[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.KebabCaseLower, WriteIndented = true, RespectNullableAnnotations = true, RespectRequiredConstructorParameters = true)]
[JsonSerializable(typeof(LaunchRecord))]
internal sealed partial class LaunchRecordJson : JsonSerializerContext;
