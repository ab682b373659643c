using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace DistMigrate.Guests;

/// <summary>Makes one <see cref="LaunchPlan"/> from a source's argument list.</summary>
internal sealed class LaunchArguments
{
    private const int LongestSocketPath = 107;
    private const string TemporaryDisk = "keeps what the guest writes to its disk in a temporary file of that QEMU alone";

    /// <summary>Options of QEMU 10 without a value; every other option takes the argument after it.</summary>
    private static readonly HashSet<string> Flags = new(StringComparer.Ordinal)
    {
        "h", "help", "version", "S", "s", "snapshot", "usb", "nographic", "portrait", "full-screen", "win2k-hack", "preconfig", "enable-kvm", "xen-attach",
        "xen-domid-restrict", "no-reboot", "no-shutdown", "daemonize", "only-migratable", "nodefaults", "no-user-config", "enable-sync-profile", "perfmap",
        "jitdump", "mem-prealloc", "no-fd-bootchk", "no-acpi", "no-hpet", "no-quit", "semihosting", "old-param", "singlestep", "enable-fips",
    };

    /// <summary>What makes the source the process that it is, and what a guest that comes from an image must not begin with.</summary>
    private static readonly HashSet<string> Dropped = new(StringComparer.Ordinal) { "incoming", "S", "daemonize", "pidfile", "loadvm" };

    /// <summary>Options that take a character device in the short way of writing.</summary>
    private static readonly HashSet<string> CharacterDevices = new(StringComparer.Ordinal) { "qmp", "qmp-pretty", "monitor", "serial", "parallel", "debugcon", "gdb" };

    /// <summary>Options of keys and values that can hold a file descriptor's number.</summary>
    private static readonly HashSet<string> MayHoldDescriptors = new(StringComparer.Ordinal)
    {
        "chardev", "netdev", "nic", "net", "device", "object", "fsdev", "virtfs", "tpmdev", "blockdev", "drive",
    };

    private static readonly HashSet<string> DescriptorKeys = new(StringComparer.Ordinal) { "fd", "fds", "vhostfd", "vhostfds", "sock_fd" };

    private static readonly JsonSerializerOptions Readable = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private readonly LaunchPlacement _placement;
    private readonly Func<string, bool> _isKeptMemoryPath;
    private readonly NewPaths _files;
    private readonly NewPaths _memory;
    private readonly HashSet<string> _sockets = new(StringComparer.Ordinal);
    private readonly HashSet<string> _pipes = new(StringComparer.Ordinal);
    private readonly HashSet<string> _kept = new(StringComparer.Ordinal);
    private bool _usesHugePages;

    public LaunchArguments(LaunchPlacement placement, Func<string, bool> isKeptMemoryPath)
    {
        _placement = placement;
        _isKeptMemoryPath = isKeptMemoryPath;
        _files = new NewPaths(placement.Folder);
        _memory = new NewPaths(placement.MemoryFolder);
        _files.Reserve(placement.MonitorPath);
        _files.Reserve(LaunchRecord.PathIn(placement.Folder));
        _files.Reserve(LaunchRecord.LogIn(placement.Folder));
    }

    /// <summary>The argument that makes a monitor of ours.</summary>
    public static string Monitor(string path) => $"unix:{QemuOption.Escape(path)},server=on,wait=off";

    public LaunchPlan Compose(IReadOnlyList<string> source)
    {
        if (source.Count == 0)
            throw new GuestException(GuestFault.Unsupported, "QEMU's argument list is empty. Define the guest in the silo's configuration (Definitions:NAME:Arguments).");
        List<string> arguments = [source[0]];
        for (var i = 1; i < source.Count; i++)
        {
            var option = source[i];
            if (!option.StartsWith('-'))
            {
                arguments.Add(Checked("", option));
                continue;
            }

            var name = option.StartsWith("--", StringComparison.Ordinal) ? option[2..] : option[1..];

            // A kernel's command line may begin with a dash; nothing else does, so an option that is not known here may also be without a value.
            var hasValue = !Flags.Contains(name) && i + 1 < source.Count && (name == "append" || !source[i + 1].StartsWith('-'));
            var value = hasValue ? source[++i] : null;
            if (Dropped.Contains(name) || IsEarlierMonitor(name, value))
                continue;
            if (name == "snapshot")
                throw Refused(name, null, TemporaryDisk);
            arguments.Add(option);
            if (value is not null)
                arguments.Add(name == "append" ? value : Replaced(name, Checked(name, value)));
        }

        arguments.AddRange(["-qmp", Monitor(Socket(_placement.MonitorPath)), "-incoming", "defer", "-S"]);
        return new LaunchPlan
        {
            Arguments = arguments,
            MemoryFiles = [.. _memory.Given],
            Sockets = [.. _sockets],
            Pipes = [.. _pipes],
            KeptMemoryPaths = [.. _kept],
            UsesHugePages = _usesHugePages,
        };
    }

    /// <summary>The monitor that an earlier launch added: named as ours, wherever that host has it.</summary>
    private bool IsEarlierMonitor(string name, string? value) =>
        name is "qmp" or "qmp-pretty" && value is not null && value.StartsWith("unix:", StringComparison.Ordinal)
        && Path.GetFileName(QemuOption.Parse(value["unix:".Length..]).First) == Path.GetFileName(_placement.MonitorPath);

    private string Replaced(string name, string value) => name switch
    {
        "chardev" => CharacterDevice(value),
        "object" => Object(value),
        "mem-path" => Memory(value, "ram"),
        "D" => Output(value),
        "vnc" when value.StartsWith("unix:", StringComparison.Ordinal) => ServerSocket("unix:", value),
        _ when CharacterDevices.Contains(name) => ShortCharacterDevice(value),
        _ => value,
    };

    private string ShortCharacterDevice(string value)
    {
        if (value.StartsWith("mon:", StringComparison.Ordinal))
            return "mon:" + ShortCharacterDevice(value["mon:".Length..]);

        // Behind file: and pipe: QEMU takes everything as the path, commas as well.
        if (value.StartsWith("file:", StringComparison.Ordinal))
            return "file:" + Output(value["file:".Length..]);
        if (value.StartsWith("pipe:", StringComparison.Ordinal))
            return "pipe:" + Pipe(value["pipe:".Length..]);
        return value.StartsWith("unix:", StringComparison.Ordinal) && QemuOption.Parse(value).IsOn("server") ? ServerSocket("unix:", value) : value;
    }

    private string ServerSocket(string prefix, string value)
    {
        var option = QemuOption.Parse(value[prefix.Length..]);
        option.First = Socket(_files.For(option.First));
        return prefix + option;
    }

    private string CharacterDevice(string value)
    {
        if (Json(value) is { } json)
            return Edited(value, json, JsonCharacterDevice);
        var option = QemuOption.Parse(value);
        option.Change("logfile", Output);
        switch (option["backend"] ?? option.First)
        {
            case "socket" when option.IsOn("server"):
                option.Change("path", path => Socket(_files.For(path)));
                break;
            case "file":
                option.Change("path", Output);
                break;
            case "pipe":
                option.Change("path", Pipe);
                break;
        }

        return option.ToString();
    }

    /// <summary>The form of QMP's chardev-add. A socket is a server there unless it says otherwise.</summary>
    private bool JsonCharacterDevice(JsonObject device)
    {
        if (device["backend"] is not JsonObject backend || backend["data"] is not JsonObject data)
            return false;
        var changed = Change(data, "logfile", Output);
        return (Text(backend["type"]), data["addr"]) switch
        {
            ("socket", JsonObject address) when data["server"]?.GetValueKind() != JsonValueKind.False && Text(address["type"]) == "unix" && address["data"] is JsonObject unix =>
                Change(unix, "path", path => Socket(_files.For(path))),
            ("file", _) => Change(data, "out", Output),
            ("pipe", _) => Change(data, "device", Pipe),
            _ => false,
        } || changed;
    }

    private string Object(string value)
    {
        if (Json(value) is { } json)
            return Edited(value, json, JsonObjectBackend);
        var option = QemuOption.Parse(value);
        switch (option["qom-type"] ?? option.First)
        {
            case "memory-backend-file":
                EnsureWritable(value, option.IsOn("readonly"));
                option.Change("mem-path", path => Memory(path, option["id"]));
                break;
            case "memory-backend-memfd":
                _usesHugePages |= option.IsOn("hugetlb");
                break;
        }

        return option.ToString();
    }

    private bool JsonObjectBackend(JsonObject backend)
    {
        switch (Text(backend["qom-type"]))
        {
            case "memory-backend-file":
                EnsureWritable(backend.ToJsonString(), backend["readonly"]?.GetValueKind() == JsonValueKind.True);
                return Change(backend, "mem-path", path => Memory(path, Text(backend["id"])));
            case "memory-backend-memfd":
                _usesHugePages |= backend["hugetlb"]?.GetValueKind() == JsonValueKind.True;
                return false;
            default:
                return false;
        }
    }

    private static void EnsureWritable(string value, bool isReadOnly)
    {
        if (isReadOnly)
            throw Refused("object", value, "has guest RAM in a read-only file, which an image cannot be loaded into");
    }

    private string Memory(string path, string? id)
    {
        if (_isKeptMemoryPath(path))
        {
            _kept.Add(path);
            return path;
        }

        var name = string.Concat((id ?? "ram").Select(c => char.IsAsciiLetterOrDigit(c) || c is '.' or '_' or '-' ? c : '_'));
        return _memory.For(path, $"{_placement.MemoryPrefix}-{name}");
    }

    private string Output(string path) => LaunchPlan.IsDevice(path) ? path : _files.For(path);

    private string Socket(string path)
    {
        if (Encoding.UTF8.GetByteCount(path) > LongestSocketPath)
        {
            throw new GuestException(GuestFault.Unsupported,
                $"The path of the socket {path} would have more than {LongestSocketPath} bytes, which Linux does not take. Choose shorter folders (GuestFolder, --state) or a shorter name.");
        }

        _sockets.Add(path);
        return path;
    }

    /// <summary>QEMU opens NAME.in and NAME.out.</summary>
    private string Pipe(string path)
    {
        var replaced = _files.For(path);
        _pipes.UnionWith([replaced + ".in", replaced + ".out"]);
        return replaced;
    }

    /// <summary>Refuses what was handed to the source as an open file.</summary>
    private static string Checked(string name, string value)
    {
        if (name == "add-fd" || HoldsDescriptor(name, value))
            throw Refused(name, value, "hands over an open file descriptor, which another QEMU cannot be given");
        if (name == "drive" && QemuOption.Parse(value).IsOn("snapshot"))
            throw Refused(name, value, TemporaryDisk);
        return value;
    }

    private static bool HoldsDescriptor(string name, string value)
    {
        if (value.Contains("/dev/fdset/", StringComparison.Ordinal) || value.Contains("/dev/fd/", StringComparison.Ordinal) || value.Contains("/proc/self/fd/", StringComparison.Ordinal))
            return true;
        if (!MayHoldDescriptors.Contains(name))
            return false;
        return Json(value) is { } json ? AnyDescriptor(json) : QemuOption.Parse(value).Pairs.Any(pair => IsDescriptor(pair.Key, pair.Value));
    }

    private static bool AnyDescriptor(JsonNode? node) => node switch
    {
        JsonObject item => item.Any(pair => IsDescriptor(pair.Key, Text(pair.Value)) || AnyDescriptor(pair.Value)),
        JsonArray array => array.Any(AnyDescriptor),
        _ => false,
    };

    private static bool IsDescriptor(string key, string? value)
    {
        var last = key[(key.LastIndexOf('.') + 1)..];
        return DescriptorKeys.Contains(last) || (last == "type" && value == "fd");
    }

    private static GuestException Refused(string name, string? value, string why)
    {
        string[] clean = [.. name.Length == 0 ? [] : new[] { "-" + name }, .. value is null ? [] : new[] { value }];
        return new GuestException(GuestFault.Unsupported,
            $"QEMU's argument '{string.Join(' ', ArgumentRedaction.Redact(clean))}' {why}. "
            + "Define the guest in the target silo's configuration (Definitions:NAME:Arguments), or start the target yourself with -incoming defer.");
    }

    private static JsonObject? Json(string value)
    {
        if (!value.StartsWith('{'))
            return null;
        try
        {
            return JsonNode.Parse(value) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }

    private static string Edited(string text, JsonObject json, Func<JsonObject, bool> edit) => edit(json) ? json.ToJsonString(Readable) : text;

    private static bool Change(JsonObject item, string key, Func<string, string> change)
    {
        if (Text(item[key]) is not { } old)
            return false;
        var replaced = change(old);
        item[key] = replaced;
        return replaced != old;
    }

    private static string? Text(JsonNode? node) => node is JsonValue value && value.TryGetValue<string>(out var text) ? text : null;

    /// <summary>Gives each old path one new path in a folder; two old paths never share one.</summary>
    private sealed class NewPaths(string folder)
    {
        private readonly Dictionary<string, string> _byOld = new(StringComparer.Ordinal);
        private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

        public IEnumerable<string> Given => _byOld.Values;

        public void Reserve(string path) => _taken.Add(path);

        public string For(string old) => For(old, Path.GetFileName(old));

        public string For(string old, string name)
        {
            if (_byOld.TryGetValue(old, out var known))
                return known;
            var path = Path.Combine(folder, name);
            for (var number = 2; !_taken.Add(path); number++)
                path = Path.Combine(folder, $"{name}-{number}");
            return _byOld[old] = path;
        }
    }
}
