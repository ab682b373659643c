using System.Globalization;
using System.Text;
using CsCheck;
using DistMigrate.Client.Doctor;

namespace DistMigrate.Tests.Unit.Client.Doctor;

public sealed class MountTableTests
{
    private const string Table = """
        22 27 0:21 / /proc rw,relatime - proc proc rw
        27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
        30 27 0:50 / /srv rw - autofs systemd-1 rw,fd=38
        31 27 0:51 / /srv rw,nosuid shared:2 master:1 - nfs4 hv1:/ex\040port rw,vers=4.2,hard,local_lock=none
        32 31 0:52 /sub /srv/a\011b\134c ro - xfs /dev/sdb1 rw
        not a line of the table

        """;

    private static readonly Gen<string> Name = Gen.Char["ab \t\n\\é-"].Array[1, 6].Select(letters => new string(letters));
    private static readonly Gen<string> MountPoint = Name.Array[0, 3].Select(names => "/" + string.Join('/', names));

    [Fact]
    public void A_line_has_device_place_type_source_and_every_option_once()
    {
        var mounts = MountTable.Parse(Table);
        Assert.Equal(["/proc", "/", "/srv", "/srv", "/srv/a\tb\\c"], mounts.Select(mount => mount.MountPoint));
        var nfs = mounts[3];
        Assert.Equal(("0:51", "nfs4", "hv1:/ex port"), (nfs.Device, nfs.Type, nfs.Source));
        Assert.Equal(["rw", "nosuid", "vers=4.2", "hard", "local_lock=none"], nfs.Options);
        Assert.Equal(("4.2", null, true, false), (nfs.Value("vers"), nfs.Value("ver"), nfs.Has("hard"), nfs.Has("vers")));
    }

    [Theory]
    [InlineData("/", "ext4")]
    [InlineData("/home/x", "ext4")]
    [InlineData("/srv", "nfs4")]
    [InlineData("/srv/images", "nfs4")]
    [InlineData("/srvx", "ext4")]
    [InlineData("/srv/a\tb\\c/d", "xfs")]
    [InlineData("/proc/self", "proc")]
    public void A_path_is_on_the_last_mount_of_the_longest_point_above_it(string path, string type) =>
        Assert.Equal(type, MountTable.Find(MountTable.Parse(Table), path)!.Type);

    [Fact]
    public void Whatever_bytes_a_mount_point_has_it_is_read_as_the_kernel_writes_it_and_found_for_what_lies_below() =>
        Gen.Select(MountPoint.Array[1, 6], Name.Array[0, 4]).Sample((points, below) =>
        {
            var lines = points.Select((point, i) => string.Create(CultureInfo.InvariantCulture, $"{i} 1 0:{i} / {Escape(point)} rw - type{i} src rw"));
            var mounts = MountTable.Parse(string.Join('\n', lines));
            Assert.Equal(points, mounts.Select(mount => mount.MountPoint));

            var path = (points[0] == "/" ? "" : points[0]) + string.Concat(below.Select(name => "/" + name));
            path = path.Length == 0 ? "/" : path;
            var expected = points.Select((point, i) => (point, i)).Where(entry => Segments(path).Take(Segments(entry.point).Length).SequenceEqual(Segments(entry.point)))
                .OrderBy(entry => entry.point.Length).ThenBy(entry => entry.i).Last().i;
            Assert.Equal($"0:{expected}", MountTable.Find(mounts, path)!.Device);
        });

    [Fact]
    public void The_table_of_this_machine_has_a_root() => Assert.Equal("/", MountTable.Find(MountTable.Read(), "/")!.MountPoint);

    private static string[] Segments(string path) => path == "/" ? [] : path[1..].Split('/');

    private static string Escape(string path)
    {
        var text = new StringBuilder();
        foreach (var c in path)
            text.Append(c is ' ' or '\t' or '\n' or '\\' ? $"\\{Convert.ToString(c, 8).PadLeft(3, '0')}" : c.ToString());
        return text.ToString();
    }
}
