using DistMigrate.Posix;
using DistMigrate.Tests.Unit.Transfer;

namespace DistMigrate.Tests.Unit.Posix;

public sealed class LibcTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public void A_failed_call_keeps_its_name_its_errno_and_what_it_was_made_on()
    {
        var error = Assert.Throws<ErrnoException>(() => Libc.Open(_folder["no"], OpenFlags.ReadOnly));
        Assert.Equal(("open", Errno.ENOENT, _folder["no"]), (error.Call, error.Errno, error.Subject));
        Assert.Equal($"open of {_folder["no"]}: No such file or directory (ENOENT)", error.Message);
    }

    [Fact]
    public void An_errno_without_a_name_of_its_own_is_told_by_number() =>
        Assert.Equal("Too many levels of symbolic links (errno 40)", ErrnoException.Describe((Errno)40));

    [Fact]
    public void Each_way_to_open_fails_with_its_own_errno()
    {
        var file = _folder.Write("file", "x");
        Assert.Equal(Errno.EEXIST, Failed(() => Libc.Open(file, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Exclusive)));
        Assert.Equal(Errno.ENOTDIR, Failed(() => Libc.Open(file, OpenFlags.ReadOnly | OpenFlags.Folder)));
        Assert.Equal(Errno.EISDIR, Failed(() => Libc.Open(_folder.Path, OpenFlags.WriteOnly)));
        Assert.Equal(Errno.ENAMETOOLONG, Failed(() => Libc.Open(_folder[new string('x', 256)], OpenFlags.ReadOnly)));
        Assert.Equal(Errno.ENOENT, Failed(() => Libc.FSyncFolder(_folder["no"])));
        Assert.Equal(Errno.ENOTDIR, Failed(() => Libc.FSyncFolder(file)));
    }

    [Fact]
    public void A_new_file_is_private_and_not_inherited_by_other_processes()
    {
        using var file = Create("file");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder["file"]));
        var flags = File.ReadLines($"/proc/self/fdinfo/{file.Number}").Single(line => line.StartsWith("flags:", StringComparison.Ordinal));
        const int closeOnExec = 0x80000;
        Assert.NotEqual(0, Convert.ToInt32(flags["flags:".Length..].Trim(), 8) & closeOnExec);
    }

    [Fact]
    public void Append_writes_at_the_end_and_Truncate_empties()
    {
        _folder.Write("log", "one");
        using (var file = Libc.Open(_folder["log"], OpenFlags.WriteOnly | OpenFlags.Append))
            Libc.PWriteExactly(file, "two"u8, 0);
        Assert.Equal("onetwo", File.ReadAllText(_folder["log"]));
        Libc.Open(_folder["log"], OpenFlags.WriteOnly | OpenFlags.Truncate).Dispose();
        Assert.Equal("", File.ReadAllText(_folder["log"]));
    }

    [Fact]
    public void A_write_keeps_its_errno_without_throwing()
    {
        _folder.Write("file", "x");
        using var file = Libc.Open(_folder["file"], OpenFlags.ReadOnly);
        Assert.Equal(-1, Libc.PWrite(file, "y"u8, 0, out var errno));
        Assert.Equal(Errno.EBADF, errno);
        Assert.Equal(Errno.EBADF, Failed(() => Libc.PWriteExactly(file, "y"u8, 0)));
        using var other = Create("other");
        Assert.Equal(-1, Libc.PWrite(other, "y"u8, -1, out errno));
        Assert.Equal(Errno.EINVAL, errno);
    }

    [Fact]
    public void A_full_device_gives_ENOSPC()
    {
        using var full = Libc.Open("/dev/full", OpenFlags.WriteOnly);
        Assert.Equal(-1, Libc.PWrite(full, "y"u8, 0, out var errno));
        Assert.Equal(Errno.ENOSPC, errno);
        Assert.Equal(Errno.ENOSPC, Failed(() => Libc.PWriteExactly(full, "y"u8, 0)));
    }

    [Fact]
    public void Reading_returns_what_is_there_and_the_exact_form_wants_all_of_it()
    {
        using var file = Create("file");
        Libc.PWriteExactly(file, "hello"u8, 3);
        var buffer = new byte[16];
        Assert.Equal(8, Libc.PRead(file, buffer, 0));
        Assert.Equal("\0\0\0hello"u8, buffer.AsSpan(0, 8));
        Assert.Equal(0, Libc.PRead(file, buffer, 8));
        Libc.PReadExactly(file, buffer.AsSpan(0, 8), 0);
        Assert.Throws<EndOfStreamException>(() => Libc.PReadExactly(file, buffer.AsSpan(0, 9), 0));
        using var folder = Libc.Open(_folder.Path, OpenFlags.ReadOnly | OpenFlags.Folder);
        Assert.Equal(Errno.EISDIR, Failed(() => Libc.PRead(folder, buffer, 0)));
    }

    [Fact]
    public void An_fsync_that_cannot_be_done_is_an_error()
    {
        using var pair = new Pair(Libc.SocketPair());
        Assert.Equal(Errno.EINVAL, Failed(() => Libc.FSync(pair.First)));
    }

    [Fact]
    public void A_descriptor_that_is_not_open_gives_EBADF()
    {
        using var none = new Descriptor(1_000_000, "nothing");
        var error = Assert.Throws<ErrnoException>(() => Libc.FSync(none));
        Assert.Equal(("fsync", Errno.EBADF, "nothing"), (error.Call, error.Errno, error.Subject));
        Assert.Equal(Errno.EBADF, Failed(() => Libc.Truncate(none, 0)));
        Assert.Equal(Errno.EBADF, Failed(() => Libc.SeekData(none, 0)));
        Assert.Equal(Errno.EBADF, Failed(() => Libc.TryLock(none)));
        Assert.Equal(Errno.EBADF, Failed(() => Libc.Identify(none)));
        Assert.Equal(Errno.EBADF, Libc.Allocate(none, 0, 1));
        Assert.Equal(Errno.EBADF, Failed(none.CloseChecked));
    }

    [Fact]
    public void A_closed_descriptor_is_refused_before_its_number_could_be_anothers()
    {
        var file = Create("file");
        file.CloseChecked();
        file.CloseChecked();
        Assert.Throws<ObjectDisposedException>(() => Libc.FSync(file));
        Assert.Throws<ObjectDisposedException>(() => Libc.PWrite(file, "x"u8, 0, out _));
        file.Dispose();
    }

    [Fact]
    public void A_rename_replaces_only_where_it_may()
    {
        var from = _folder.Write("from", "new");
        var to = _folder.Write("to", "old");
        Assert.Equal(Errno.EEXIST, Failed(() => Libc.Rename(from, to, replace: false)));
        Assert.Equal("old", File.ReadAllText(to));
        Libc.Rename(from, _folder["third"], replace: false);
        Libc.Rename(_folder["third"], to, replace: true);
        Assert.Equal("new", File.ReadAllText(to));
        Assert.Equal(Errno.ENOENT, Failed(() => Libc.Rename(from, to, replace: true)));
    }

    [Fact]
    public void A_second_name_is_refused_where_it_is_taken()
    {
        var file = _folder.Write("file", "x");
        Libc.Link(file, _folder["second"]);
        Assert.Equal(2u, Libc.Identify(file).Links);
        Assert.Equal(Errno.EEXIST, Failed(() => Libc.Link(file, _folder["second"])));
        Assert.Equal(Errno.ENOENT, Failed(() => Libc.Link(_folder["no"], _folder["third"])));
    }

    [Theory]
    [InlineData("/dev/shm")]
    [InlineData(null)]
    public void Holes_are_found_and_made(string? parent)
    {
        const int piece = 1 << 20;
        using var folder = new TestFolder(parent);
        using var file = Libc.Open(folder["file"], OpenFlags.ReadWrite | OpenFlags.Create);
        Libc.Truncate(file, 8 * piece);
        Assert.Equal(-1, Libc.SeekData(file, 0));
        Assert.Equal(0, Libc.SeekHole(file, 0));
        Libc.PWriteExactly(file, new byte[piece], 2 * piece);
        Libc.PWriteExactly(file, new byte[piece], 7 * piece);
        Assert.Equal(2 * piece, Libc.SeekData(file, 0));
        Assert.Equal(3 * piece, Libc.SeekHole(file, 2 * piece));
        Assert.Equal(8 * piece, Libc.SeekHole(file, 7 * piece));
        Assert.Equal(-1, Libc.SeekData(file, 8 * piece));
        Assert.Equal(Errno.None, Libc.PunchHole(file, 2 * piece, piece));
        Assert.Equal(7 * piece, Libc.SeekData(file, 0));
        Assert.Equal((8L * piece, (long)piece), (Libc.Identify(file).Length, Libc.Identify(file).AllocatedBytes));
        Assert.Equal(Errno.EINVAL, Libc.PunchHole(file, 0, 0));
    }

    [Fact]
    public void Allocated_space_reads_as_zero_and_does_not_make_the_file_longer()
    {
        using var file = Create("file");
        Libc.PWriteExactly(file, "abc"u8, 0);
        Assert.Equal(Errno.None, Libc.Allocate(file, 0, 1 << 20));
        var now = Libc.Identify(file);
        Assert.Equal((3L, 1L << 20), (now.Length, now.AllocatedBytes));
        Assert.Equal("abc", File.ReadAllText(_folder["file"]));
        Assert.Equal(Errno.EFBIG, Libc.Allocate(file, long.MaxValue - 4096, 4096));
    }

    [Fact]
    public void A_lock_excludes_every_other_description_until_it_is_closed()
    {
        using var first = Create("lock");
        using var second = Libc.Open(_folder["lock"], OpenFlags.ReadWrite);
        Assert.True(Libc.TryLock(first));
        Assert.True(Libc.TryLock(first));
        Assert.False(Libc.TryLock(second));
        first.Dispose();
        Assert.True(Libc.TryLock(second));
    }

    [Fact]
    public void A_file_is_told_from_another_that_took_its_name()
    {
        using var file = Create("file");
        var first = Libc.Identify(file);
        Assert.True(Libc.Identify(_folder["file"]).IsSameFile(first));
        File.Delete(_folder["file"]);
        using var other = Create("file");
        Assert.False(Libc.Identify(_folder["file"]).IsSameFile(first));
        Assert.Equal(0u, Libc.Identify(file).Links);
        Assert.Equal(Errno.ENOENT, Failed(() => Libc.Identify(_folder["no"])));
    }

    [Fact]
    public void A_descriptor_is_handed_over_a_socket()
    {
        using var pair = new Pair(Libc.SocketPair());
        using var file = Libc.MemoryFile("test");
        Assert.Equal(2, Libc.SendDescriptor(pair.First, "ab"u8, file, out var errno));
        Assert.Equal(Errno.None, errno);
        using var nothing = Libc.Open("/dev/null", OpenFlags.ReadOnly);
        Assert.Equal(-1, Libc.SendDescriptor(nothing, "a"u8, file, out errno));
        Assert.Equal((Errno)88, errno);
    }

    [Fact]
    public void Space_is_what_the_runtime_says_of_the_same_file_system()
    {
        var drive = new DriveInfo(_folder.Path);
        var space = Libc.Space(_folder.Path);
        Assert.Equal((drive.TotalSize, 255), (space.TotalBytes, space.LongestName));
        Assert.InRange(space.AvailableBytes, 1, space.TotalBytes);
        Assert.InRange(space.AvailableFiles, 0, Math.Max(space.Files, 0));
        Assert.Equal(Errno.ENOENT, Failed(() => Libc.Space(_folder["no"])));
    }

    [Fact]
    public void Access_owner_and_mode_are_those_of_the_file()
    {
        using var file = Create("file");
        Assert.Equal((Libc.EffectiveUser(), 0x180 /* 0600 */), Libc.Ownership(file));
        File.SetUnixFileMode(_folder["file"], UnixFileMode.UserRead | UnixFileMode.OtherExecute);
        Assert.Equal(0x101 /* 0401 */, Libc.Ownership(file).Mode);
        Assert.Equal((Errno.None, Errno.ENOENT), (Libc.Access(_folder.Path), Libc.Access(_folder["no"])));
    }

    [Fact]
    public void The_clock_tells_whether_it_is_synchronized_as_often_as_it_is_asked() =>
        Assert.Equal(Libc.IsClockSynchronized(), Libc.IsClockSynchronized());

    public void Dispose() => _folder.Dispose();

    private static Errno Failed(Action action) => Assert.Throws<ErrnoException>(action).Errno;

    private Descriptor Create(string name) => Libc.Open(_folder[name], OpenFlags.ReadWrite | OpenFlags.Create | OpenFlags.Exclusive);

    private sealed class Pair((Descriptor First, Descriptor Second) pair) : IDisposable
    {
        public Descriptor First => pair.First;

        public void Dispose()
        {
            pair.First.Dispose();
            pair.Second.Dispose();
        }
    }
}
