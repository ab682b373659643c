namespace DistMigrate.MappedRam;

/// <summary>A command that a migration into a file can hold; those of postcopy and COLO can't be there.</summary>
/// <param name="Code">Its number.</param>
/// <param name="Name">QEMU's name.</param>
/// <param name="DataLength">The length of its data in bytes.</param>
/// <param name="BeforeRam">Whether it stands before the RAM; else behind it.</param>
internal sealed record StreamCommand(ushort Code, string Name, IReadOnlyList<int> DataLength, bool BeforeRam)
{
    private static readonly StreamCommand[] Known =
    [
        new(StreamFormat.CommandOpenReturnPath, "OPEN_RETURN_PATH", [0], BeforeRam: true),
        new(StreamFormat.CommandPing, "PING", [sizeof(uint)], BeforeRam: true),
        new(StreamFormat.CommandPostcopyAdvise, "POSTCOPY_ADVISE", [0, 2 * sizeof(ulong)], BeforeRam: true),
        new(StreamFormat.CommandSwitchoverStart, "SWITCHOVER_START", [0], BeforeRam: false),
    ];

    public static StreamCommand? Find(ushort code) => Array.Find(Known, command => command.Code == code);

    public bool Allows(int dataLength) => DataLength.Contains(dataLength);
}
