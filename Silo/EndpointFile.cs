using System.Security.Cryptography;
using System.Text.Json;
using DistMigrate.Posix;

namespace DistMigrate.Silo;

/// <summary>
/// <c>silo.json</c> in the state folder: how this user's clients reach the silo. The cluster id holds a secret that the gateway
/// asks every client for, so that only who may read this file can command the silo.
/// </summary>
/// <param name="Pid">The silo's process.</param>
/// <param name="Host">The host's name.</param>
/// <param name="Gateway">Address and port for clients.</param>
/// <param name="ClusterId">The cluster id, with its secret.</param>
/// <param name="ServiceId">The service id.</param>
/// <param name="Http">Base address of the status page, /metrics and /healthz.</param>
/// <param name="Version">The silo's version.</param>
internal sealed record EndpointFile(int Pid, string Host, string Gateway, string ClusterId, string ServiceId, string Http, string Version)
{
    private static readonly JsonSerializerOptions Form = new(JsonSerializerDefaults.Web) { WriteIndented = true };

    public static string NewClusterId() => $"local-{Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16))}";

    /// <summary>Puts the file there whole, readable by this user alone.</summary>
    public void Write(string stateFolder)
    {
        var temporary = PathIn(stateFolder) + ".new";
        File.Delete(temporary);
        using (var file = Libc.Open(temporary, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive))
            Libc.PWriteExactly(file, JsonSerializer.SerializeToUtf8Bytes(this, Form), 0);
        Libc.Rename(temporary, PathIn(stateFolder), replace: true);
    }

    public static void Remove(string stateFolder) => File.Delete(PathIn(stateFolder));

    private static string PathIn(string stateFolder) => Path.Combine(stateFolder, "silo.json");
}
