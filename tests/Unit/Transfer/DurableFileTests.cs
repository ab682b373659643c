using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class DurableFileTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public void A_written_file_is_whole_private_and_alone_in_its_folder()
    {
        DurableFile.Write(_folder["record"], "one"u8);
        DurableFile.Write(_folder["record"], "another"u8);
        Assert.Equal("another", File.ReadAllText(_folder["record"]));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder["record"]));
        Assert.Equal([_folder["record"]], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void A_write_that_fails_keeps_the_old_file_and_leaves_nothing_else()
    {
        // A folder cannot be replaced by a file.
        Directory.CreateDirectory(_folder["record"]);
        Assert.Equal(Errno.EISDIR, Assert.Throws<ErrnoException>(() => DurableFile.Write(_folder["record"], "x"u8)).Errno);
        Assert.Equal(Errno.ENOENT, Assert.Throws<ErrnoException>(() => DurableFile.Write(_folder["no/record"], "x"u8)).Errno);
        Assert.Equal([_folder["record"]], Directory.GetFileSystemEntries(_folder.Path));
    }

    [Fact]
    public void A_name_that_is_taken_is_not_created_again()
    {
        Assert.True(DurableFile.TryCreate(_folder["claim"], "first"u8));
        Assert.False(DurableFile.TryCreate(_folder["claim"], "second"u8));
        Assert.Equal("first", File.ReadAllText(_folder["claim"]));
        Assert.Equal([_folder["claim"]], Directory.GetFiles(_folder.Path));
    }

    [Fact]
    public void Of_many_that_create_a_name_exactly_one_does()
    {
        for (var round = 0; round < 20; round++)
        {
            var path = _folder[$"claim{round}"];
            var created = Enumerable.Range(0, 8).AsParallel().WithDegreeOfParallelism(8)
                .Count(i => DurableFile.TryCreate(path, [(byte)i]));
            Assert.Equal(1, created);
        }
    }

    [Fact]
    public void What_a_write_that_was_cut_off_left_is_removed_and_nothing_else()
    {
        string[] kept = [_folder["a*"], _folder["a*.0123"], _folder["a*.0123456789abcdef0123456789abcdef.x"], _folder["a.x"], _folder["ab.0123456789abcdef0123456789abcdef"]];
        Array.ForEach(kept, path => File.WriteAllText(path, ""));
        _folder.Write("a*.0123456789abcdef0123456789abcdef", "");
        DurableFile.RemoveTemporaries(_folder["a*"]);
        Assert.Equal(kept.Order(StringComparer.Ordinal), Directory.GetFiles(_folder.Path).Order(StringComparer.Ordinal));
    }

    public void Dispose() => _folder.Dispose();
}
