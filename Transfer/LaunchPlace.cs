using System.Runtime.InteropServices;
using DistMigrate.Guests;

namespace DistMigrate.Transfer;

/// <summary>How QEMUs are launched on this host.</summary>
/// <param name="GuestFolder">The folder of the guests' monitor sockets, and of the launched guests' own folders.</param>
/// <param name="MemoryFolder">Where files of guest RAM are made.</param>
/// <param name="Program">The QEMU that is launched, whatever the argument list says; null for what that says.</param>
/// <param name="Definitions">Argument lists of guests by name, the program first unless the first one begins with a dash; they go before those of
/// a source or manifest.</param>
public sealed record LaunchPlace(
    string GuestFolder, string MemoryFolder, string? Program, IReadOnlyDictionary<string, IReadOnlyList<string>> Definitions)
{
    /// <summary>What a guest is launched from here: its definition, or else the argument list that is known of it; the program first.</summary>
    internal IReadOnlyList<string> ArgumentsFor(string guest, Func<IReadOnlyList<string>> known)
    {
        var arguments = Definitions.GetValueOrDefault(guest) ?? known();
        var hasProgram = arguments.Count > 0 && !arguments[0].StartsWith('-');
        var program = Program ?? (hasProgram ? arguments[0] : RuntimeInformation.OSArchitecture == Architecture.Arm64 ? "qemu-system-aarch64" : "qemu-system-x86_64");
        return [program, .. arguments.Skip(hasProgram ? 1 : 0)];
    }

    /// <summary>The folder of a launched guest.</summary>
    public string FolderOf(string guest) => Path.Combine(GuestFolder, guest);

    /// <summary>Where the files of a guest that a migration launches go.</summary>
    internal LaunchPlacement PlacementOf(string guest, string migration) =>
        new(FolderOf(guest), Path.Combine(GuestFolder, guest + ".qmp"), MemoryFolder, $"{guest}-{migration}-");
}
