using DistMigrate.MappedRam;
using DistMigrate.Posix;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class ImageFileTests : IDisposable
{
    private const int Length = 1 << 20;

    private readonly TestFolder _folder = new();

    private string Partial => _folder["guest.image.partial"];

    [Fact]
    public void A_partial_image_has_its_whole_length_at_once_is_private_and_takes_no_space()
    {
        using var image = ImageFile.Create(Partial, 1L << 40, DirectIoChoice.Off, Watch.Impatient());
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Partial));
        var now = Libc.Identify(Partial);
        Assert.Equal((1L << 40, 0L), (now.Length, now.AllocatedBytes));
        Assert.True(now.IsSameFile(image.Identity));
    }

    [Fact]
    public void A_second_writer_is_refused_in_the_same_process_too_and_the_first_one_is_not_disturbed()
    {
        using var first = ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient());
        Assert.Equal(ImageFault.Busy, Refused(() => ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient())));
        first.FSync();
    }

    [Fact]
    public void What_a_dead_process_left_is_replaced_and_none_of_its_bytes_stay()
    {
        File.WriteAllText(Partial, "left over");
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Off, Watch.Impatient());
        Assert.Equal(Length, new FileInfo(Partial).Length);
        using var input = image.OpenInput();
        var bytes = new byte[4096];
        input.ReadExactly(0, bytes);
        Assert.False(bytes.AsSpan().ContainsAnyExcept((byte)0));
        image.FSync();
    }

    [Fact]
    public void Of_many_that_create_the_same_partial_image_one_wins_and_stays_undisturbed()
    {
        for (var round = 0; round < 100; round++)
        {
            File.WriteAllText(Partial, "left over");
            var winners = new List<ImageFile>();
            var threads = Enumerable.Range(0, 4).Select(_ => new Thread(() =>
            {
                try
                {
                    var image = ImageFile.Create(Partial, Length, DirectIoChoice.Off, Watch.Impatient());
                    lock (winners)
                        winners.Add(image);
                }
                catch (ImageException)
                {
                    // Refused, as all but one are.
                }
            })).ToArray();
            Array.ForEach(threads, thread => thread.Start());
            Array.ForEach(threads, thread => thread.Join());
            Assert.InRange(winners.Count, 0, 1);
            foreach (var winner in winners)
            {
                winner.FSync();
                winner.Dispose();
            }
        }
    }

    [Fact]
    public void A_partial_image_that_lost_its_lock_holder_is_free_again()
    {
        ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient()).Dispose();
        ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient()).Dispose();
    }

    [Theory]
    [InlineData("/dev/shm")]
    [InlineData(null)]
    public void Auto_writes_past_the_page_cache_exactly_where_the_file_system_takes_it(string? parent)
    {
        using var folder = new TestFolder(parent);
        var path = folder["image.partial"];
        using var image = ImageFile.Create(path, Length, DirectIoChoice.Auto, Watch.Impatient());
        Assert.Equal(TakesDirectIo(folder["probe"]), image.UsesDirectIo);
        using var page = new AlignedBuffer(Page.Size);
        page.Span.Fill(0x5a);
        image.WritePages(page.Span, Length / 2);
        image.FSync();
        using var input = image.OpenInput();
        var bytes = new byte[Page.Size];
        input.ReadExactly(Length / 2, bytes);
        Assert.False(bytes.AsSpan().ContainsAnyExcept((byte)0x5a));
    }

    [Theory]
    [InlineData("/dev/shm")]
    [InlineData(null)]
    public void On_is_refused_where_the_file_system_does_not_take_it_and_leaves_no_file(string? parent)
    {
        using var folder = new TestFolder(parent);
        var path = folder["image.partial"];
        if (TakesDirectIo(folder["probe"]))
        {
            using var image = ImageFile.Create(path, Length, DirectIoChoice.On, Watch.Impatient());
            Assert.True(image.UsesDirectIo);
        }
        else
        {
            Assert.Equal(ImageFault.NoDirectIo, Refused(() => ImageFile.Create(path, Length, DirectIoChoice.On, Watch.Impatient())));
            Assert.False(File.Exists(path));
        }
    }

    [Fact]
    public void Off_writes_through_the_page_cache()
    {
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Off, Watch.Impatient());
        Assert.False(image.UsesDirectIo);
    }

    [Fact]
    public void A_folder_that_does_not_exist_is_told_as_such()
    {
        var error = Assert.Throws<ImageException>(() => ImageFile.Create(_folder["no/guest.partial"], Length, DirectIoChoice.Auto, Watch.Impatient()));
        Assert.Equal((ImageFault.NotFound, Errno.ENOENT), (error.Fault, error.Errno));
    }

    [Fact]
    public void An_image_longer_than_the_file_system_takes_is_refused_and_leaves_no_file()
    {
        Assert.Equal(ImageFault.NoSpace, Refused(() => ImageFile.Create(Partial, long.MaxValue / 2, DirectIoChoice.Off, Watch.Impatient())));
        Assert.False(File.Exists(Partial));
    }

    [Fact]
    public void An_fsync_notices_that_the_partial_image_was_removed()
    {
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient());
        File.Delete(Partial);
        Assert.Equal(ImageFault.Replaced, Refused(image.FSync));
    }

    [Fact]
    public void An_fsync_notices_that_the_partial_image_was_replaced()
    {
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient());
        File.WriteAllText(_folder["other"], "other");
        File.Move(_folder["other"], Partial, overwrite: true);
        Assert.Equal(ImageFault.Replaced, Refused(image.FSync));
        image.Discard();
        Assert.Equal("other", File.ReadAllText(Partial));
    }

    [Fact]
    public void An_fsync_notices_that_the_partial_image_has_a_second_name()
    {
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient());
        image.FSync();
        Libc.Link(Partial, _folder["second"]);
        Assert.Equal(ImageFault.Replaced, Refused(image.FSync));
    }

    [Fact]
    public void Reserved_space_is_given_back_and_the_file_is_sparse_again()
    {
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Off, Watch.Impatient());
        image.Allocate(0, Length);
        Assert.Equal(Length, Libc.Identify(Partial).AllocatedBytes);
        image.Release(0, Length);
        var now = Libc.Identify(Partial);
        Assert.Equal((Length, 0L), (now.Length, now.AllocatedBytes));
    }

    [Fact]
    public void Zeroed_pages_read_as_zero_and_their_neighbours_stay()
    {
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Off, Watch.Impatient());
        var bytes = new byte[3 * Page.Size];
        bytes.AsSpan().Fill(9);
        image.WriteMeta(bytes, 0);
        image.ZeroPages(Page.Size, Page.Size);
        using var input = image.OpenInput();
        input.ReadExactly(0, bytes);
        Assert.Equal([9, 0, 9], new[] { bytes[0], bytes[Page.Size], bytes[2 * Page.Size] });
        Assert.False(bytes.AsSpan(Page.Size, Page.Size).ContainsAnyExcept((byte)0));
    }

    [Fact]
    public void After_its_pages_are_closed_no_page_is_written_and_the_lock_is_still_held()
    {
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient());
        Assert.True(image.UsesDirectIo);
        image.ClosePages();
        Assert.Throws<ObjectDisposedException>(() => image.WritePages(new byte[Page.Size], 0));
        Assert.Throws<ImageException>(() => ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient()));
    }

    [Fact]
    public void A_discarded_image_is_gone_and_a_second_discard_changes_nothing()
    {
        using var image = ImageFile.Create(Partial, Length, DirectIoChoice.Auto, Watch.Impatient());
        image.Discard();
        Assert.False(File.Exists(Partial));
        image.Discard();
    }

    public void Dispose() => _folder.Dispose();

    private static ImageFault Refused(Action action) => Assert.Throws<ImageException>(action).Fault;

    private static bool TakesDirectIo(string path)
    {
        try
        {
            using var file = Libc.Open(path, OpenFlags.WriteOnly | OpenFlags.Create | OpenFlags.Direct);
            using var page = new AlignedBuffer(Page.Size);
            return Libc.PWrite(file, page.Span, 0, out _) == Page.Size;
        }
        catch (ErrnoException e) when (e.Errno is Errno.EINVAL or Errno.EOPNOTSUPP)
        {
            return false;
        }
    }
}
