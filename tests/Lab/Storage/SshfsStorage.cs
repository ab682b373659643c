using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace DistMigrate.Tests.Lab.Storage;

/// <summary>
/// A folder that sshfs mounts from an SFTP server of its own. sshfs starts that in place of ssh and talks to it over a socket pair: a
/// network login between them would add a key and a service, and no fault. Disposing ends its processes by pid.
/// </summary>
public sealed class SshfsStorage : IAsyncDisposable
{
    private const string ServerProgram = "/usr/lib/openssh/sftp-server";

    private readonly Belongings _belongings;
    private readonly StringBuilder _messages = new();
    private readonly string _insteadOfSsh;
    private Process? _client;
    private ProcessIdentity _server;

    private SshfsStorage(Belongings belongings)
    {
        _belongings = belongings;
        ServerFolder = belongings.MakeFolder("files");
        Path = belongings.MakeFolder("client");
        _insteadOfSsh = belongings.At("instead-of-ssh");

        // It takes none of the arguments that sshfs has for ssh, and tells the pid, since sshfs lets go of its children.
        File.WriteAllText(_insteadOfSsh, $"#!/bin/sh\necho $$ >'{ServerPidFile}'\nexec {ServerProgram} -e\n");
        File.SetUnixFileMode(_insteadOfSsh, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
    }

    /// <summary>What this machine lacks for it, in one sentence; null when everything is there.</summary>
    public static string? Missing =>
        !Environment.IsPrivilegedProcess ? "Mounting a file system takes root."
        : !File.Exists("/dev/fuse") ? "There is no /dev/fuse: load the kernel module fuse."
        : StorageProgram.Find("sshfs") is null ? "sshfs is not installed: run eng/require faults."
        : !File.Exists(ServerProgram) ? $"There is no {ServerProgram}: run eng/require faults."
        : null;

    /// <summary>The mount: where the silo writes.</summary>
    public string Path { get; }

    /// <summary>The same files on the server, where they can be unlinked or replaced behind the writer's back.</summary>
    public string ServerFolder { get; }

    /// <summary>What the programs said so far, for the message of a failure.</summary>
    public string Messages
    {
        get
        {
            lock (_messages)
            {
                return _messages.ToString();
            }
        }
    }

    /// <summary>Starts server and client, and returns once files can be written.</summary>
    /// <exception cref="InvalidOperationException">The machine cannot; the message says why.</exception>
    public static async Task<SshfsStorage> StartAsync()
    {
        if (Missing is { } missing)
        {
            throw new InvalidOperationException(missing);
        }

        var storage = new SshfsStorage(Belongings.Create());
        try
        {
            await storage.MountAsync();
            return storage;
        }
        catch
        {
            await storage.DisposeAsync();
            throw;
        }
    }

    /// <summary>A path below <see cref="Path"/>.</summary>
    public string At(string name) => System.IO.Path.Combine(Path, name);

    /// <summary>Kills the server, and the client ends with it: everything fails with ENOTCONN, and files that were open stay dead for ever.</summary>
    public void KillServer() => _server.Kill();

    /// <summary>Mounts the folder anew from a new server, and returns once files can be written.</summary>
    public async Task RestartServerAsync()
    {
        await Wait.UntilAsync(() => _client!.HasExited, "the client has ended", details: () => Messages);
        _client!.Dispose();
        await MountAsync();
    }

    /// <summary>SIGSTOP for the server: everything waits, without any limit.</summary>
    public void StopServer() => StorageProgram.Stall(_server);

    /// <summary>SIGCONT for the server: what waits goes on.</summary>
    public void ContinueServer() => StorageProgram.Resume(_server);

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        await Task.Run(_belongings.Dispose);
        _client?.Dispose();
    }

    private string ServerPidFile => _belongings.At("server.pid");

    private async Task MountAsync()
    {
        _belongings.AddMount(Path);
        _client = StorageProgram.Serve(_messages, "sshfs", "-f", "-o", $"ssh_command={_insteadOfSsh}", $"localhost:{ServerFolder}", Path);
        _belongings.AddProcess(_client.Id);
        await MountProbe.WaitAsync(Path, "fuse.sshfs", () => Messages);
        _server = _belongings.AddProcess(int.Parse(await File.ReadAllTextAsync(ServerPidFile), CultureInfo.InvariantCulture));
    }
}
