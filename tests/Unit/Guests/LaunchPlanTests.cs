using CsCheck;
using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class LaunchPlanTests
{
    private const string Program = "/usr/bin/qemu-system-x86_64";
    private static readonly LaunchPlacement Placement = new("/run/dm/vm1", "/run/dm/guests/vm1.qmp", "/dev/shm", "dm-m1");
    private static readonly string[] Ours = ["-qmp", "unix:/run/dm/guests/vm1.qmp,server=on,wait=off", "-incoming", "defer", "-S"];

    /// <summary>Arguments, each with what becomes of it; null where it goes.</summary>
    private static readonly (string[] Old, string[] New)[] Known =
    [
        (["-incoming", "defer"], []),
        (["--incoming", "tcp:0:4444"], []),
        (["-S"], []),
        (["--S"], []),
        (["-daemonize"], []),
        (["-pidfile", "/run/x.pid"], []),
        (["-loadvm", "snap"], []),
        (["-qmp", "unix:/other/guests/vm1.qmp,server=on,wait=off"], []),
        (["-qmp", "unix:/run/q/a.sock,server=on,wait=off"], ["-qmp", "unix:/run/dm/vm1/a.sock,server=on,wait=off"]),
        (["-qmp", "unix:/run/q/b.sock,server,nowait"], ["-qmp", "unix:/run/dm/vm1/b.sock,server,nowait"]),
        (["-qmp", "unix:/run/q/client.sock"], ["-qmp", "unix:/run/q/client.sock"]),
        (["-qmp", "tcp:127.0.0.1:4444,server=on"], ["-qmp", "tcp:127.0.0.1:4444,server=on"]),
        (["-monitor", "unix:/run/q/a,,b,server=on"], ["-monitor", "unix:/run/dm/vm1/a,,b,server=on"]),
        (["-serial", "mon:unix:/run/q/mon,server=on"], ["-serial", "mon:unix:/run/dm/vm1/mon,server=on"]),
        (["-serial", "file:/var/log/s,b"], ["-serial", "file:/run/dm/vm1/s,b"]),
        (["-serial", "file:/dev/null"], ["-serial", "file:/dev/null"]),
        (["-serial", "chardev:c0"], ["-serial", "chardev:c0"]),
        (["-parallel", "pipe:/tmp/p"], ["-parallel", "pipe:/run/dm/vm1/p"]),
        (["-vnc", "unix:/tmp/vnc.sock"], ["-vnc", "unix:/run/dm/vm1/vnc.sock"]),
        (["-D", "/tmp/debug.log"], ["-D", "/run/dm/vm1/debug.log"]),
        (["-chardev", "socket,id=c1,path=/tmp/c,,1,server=on,wait=off"], ["-chardev", "socket,id=c1,path=/run/dm/vm1/c,,1,server=on,wait=off"]),
        (["-chardev", "socket,id=tpm,path=/run/swtpm.sock"], ["-chardev", "socket,id=tpm,path=/run/swtpm.sock"]),
        (["--chardev", "file,id=c2,path=/tmp/serial,logfile=/tmp/log"], ["--chardev", "file,id=c2,path=/run/dm/vm1/serial,logfile=/run/dm/vm1/log"]),
        (["-chardev", "id=c3,backend=pipe,path=/tmp/pipe"], ["-chardev", "id=c3,backend=pipe,path=/run/dm/vm1/pipe"]),
        (["-chardev", """{"id":"c4","backend":{"type":"socket","data":{"addr":{"type":"unix","data":{"path":"/tmp/j"}},"wait":false}}}"""],
            ["-chardev", """{"id":"c4","backend":{"type":"socket","data":{"addr":{"type":"unix","data":{"path":"/run/dm/vm1/j"}},"wait":false}}}"""]),
        (["-chardev", """{ "id":"c5","backend":{"type":"socket","data":{"addr":{"type":"unix","data":{"path":"/tmp/k"}},"server":false}}}"""],
            ["-chardev", """{ "id":"c5","backend":{"type":"socket","data":{"addr":{"type":"unix","data":{"path":"/tmp/k"}},"server":false}}}"""]),
        (["-chardev", """{"id":"c6","backend":{"type":"file","data":{"out":"/tmp/out"}}}"""], ["-chardev", """{"id":"c6","backend":{"type":"file","data":{"out":"/run/dm/vm1/out"}}}"""]),
        (["-object", "memory-backend-file,id=pc.ram,size=64M,mem-path=/mem/x,share=on,prealloc=on"],
            ["-object", "memory-backend-file,id=pc.ram,size=64M,mem-path=/dev/shm/dm-m1-pc.ram,share=on,prealloc=on"]),
        (["-object", """{"qom-type":"memory-backend-file","id":"m1","size":4096,"mem-path":"/mem/y","share":true}"""],
            ["-object", """{"qom-type":"memory-backend-file","id":"m1","size":4096,"mem-path":"/dev/shm/dm-m1-m1","share":true}"""]),
        (["-object", "memory-backend-file,id=huge,size=2M,mem-path=/huge/"], ["-object", "memory-backend-file,id=huge,size=2M,mem-path=/huge/"]),
        (["-object", "memory-backend-memfd,id=m2,size=64M"], ["-object", "memory-backend-memfd,id=m2,size=64M"]),
        (["-mem-path", "/mem/z"], ["-mem-path", "/dev/shm/dm-m1-ram"]),
        (["-append", "-S console=ttyS0 fd=3 x=/dev/fd/3"], ["-append", "-S console=ttyS0 fd=3 x=/dev/fd/3"]),
        (["-netdev", "user,id=n0,hostfwd=tcp::2222-:22"], ["-netdev", "user,id=n0,hostfwd=tcp::2222-:22"]),
        (["-drive", "file=/a,,b,if=none,id=d0"], ["-drive", "file=/a,,b,if=none,id=d0"]),
        (["-object", "secret,id=s0,data=hunter2"], ["-object", "secret,id=s0,data=hunter2"]),
        (["-object", "iothread,id=io"], ["-object", "iothread,id=io"]),
        (["-nodefaults"], ["-nodefaults"]),
        (["-m", "64M"], ["-m", "64M"]),
        (["-unheard-of", "a,path=/x,,y,server=on"], ["-unheard-of", "a,path=/x,,y,server=on"]),
        (["-unheard-of-flag"], ["-unheard-of-flag"]),
        (["disk.img"], ["disk.img"]),
    ];

    [Fact]
    public void Each_argument_is_kept_replaced_or_removed_by_its_kind()
    {
        foreach (var (old, expected) in Known)
            Assert.Equal([Program, .. expected, .. Ours], Compose([Program, .. old]).Arguments);
    }

    [Fact]
    public void Any_list_of_them_becomes_the_sum_of_its_parts_and_a_plan_of_its_own_result_is_the_same() =>
        Gen.Shuffle(Known, 0, Known.Length).Sample(known =>
        {
            // A word that QEMU takes as a disk would be the value of an option that is not known before it.
            var ordered = known.OrderBy(part => part.Old[0] == "disk.img" ? 0 : 1).ToList();
            var plan = Compose([Program, .. ordered.SelectMany(part => part.Old)]);
            Assert.Equal([Program, .. ordered.SelectMany(part => part.New), .. Ours], plan.Arguments);
            var again = Compose(plan.Arguments);
            Assert.Equal(plan.Arguments, again.Arguments);
            Assert.Equal(plan.MemoryFiles, again.MemoryFiles);
            Assert.Equal(plan.Sockets.Order(), again.Sockets.Order());
            Assert.Equal(plan.Pipes.Order(), again.Pipes.Order());
        });

    [Fact]
    public void Two_paths_never_become_one_and_one_path_never_becomes_two() =>
        Gen.String[Gen.Char["ab,-2/"], 1, 6].Select(name => "/x" + name + "/e").Array[1, 8].Sample(paths =>
        {
            var plan = Compose([Program, .. paths.SelectMany(path => new[] { "-chardev", $"file,id=c,path={QemuOption.Escape(path)}" })]);
            var replaced = plan.Arguments.Where(argument => argument.StartsWith("file,", StringComparison.Ordinal)).Select(argument => QemuOption.Parse(argument)["path"]!).ToList();
            Assert.Equal(paths.Distinct().Count(), replaced.Distinct().Count());
            Assert.Equal(paths.Length, paths.Zip(replaced).GroupBy(pair => pair.First).Sum(group => group.Select(pair => pair.Second).Distinct().Count() == 1 ? group.Count() : 0));
            Assert.All(replaced, path => Assert.Equal(Placement.Folder, Path.GetDirectoryName(path)));
            Assert.Equal(plan.Arguments, Compose(plan.Arguments).Arguments);
        });

    [Fact]
    public void Any_option_text_stays_as_it_is_and_a_value_keeps_its_commas() =>
        Gen.Select(Gen.String[Gen.Char["a=,b"], 0, 20], Gen.String[Gen.Char["a=,/"], 0, 10]).Sample((text, value) =>
        {
            Assert.Equal(text, QemuOption.Parse(text).ToString());
            var option = QemuOption.Parse("x,key=old,y");
            option.Change("key", _ => value);
            Assert.Equal(value, QemuOption.Parse(option.ToString())["key"]);
            Assert.Equal("x", option.First);
        });

    [Theory]
    [InlineData("-add-fd", "fd=3,set=2")]
    [InlineData("-chardev", "socket,id=c,fd=3,server=on,wait=off")]
    [InlineData("-netdev", "tap,id=n,fd=33,vhost=on")]
    [InlineData("--netdev", "tap,id=n,fds=33:34")]
    [InlineData("-netdev", "tap,id=n,vhostfd=3")]
    [InlineData("-netdev", "stream,id=n,addr.type=fd,addr.str=3")]
    [InlineData("-netdev", """{"type":"stream","id":"n","addr":{"type":"fd","str":"3"}}""")]
    [InlineData("-netdev", """{"type":"tap","fd":"33","id":"n"}""")]
    [InlineData("-blockdev", """{"driver":"file","filename":"/dev/fdset/4","node-name":"n"}""")]
    [InlineData("-drive", "file=/dev/fdset/4")]
    [InlineData("-device", "vfio-pci,fd=5")]
    [InlineData("-drive", "file=/d,snapshot=on")]
    [InlineData("-snapshot")]
    [InlineData("-object", "memory-backend-file,id=m,size=1M,mem-path=/i,readonly=on,share=off")]
    [InlineData("-object", """{"qom-type":"memory-backend-file","id":"m","size":1,"mem-path":"/i","readonly":true}""")]
    public void What_cannot_be_carried_over_is_refused_by_name(params string[] argument)
    {
        var error = Assert.Throws<GuestException>(() => Compose([Program, "-nodefaults", .. argument]));
        Assert.Equal(GuestFault.Unsupported, error.Fault);
        Assert.Contains(argument[0].TrimStart('-'), error.Message, StringComparison.Ordinal);
        Assert.Contains("Definitions:", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_refused_argument_is_told_without_its_secrets() =>
        Assert.DoesNotContain("hunter2", Assert.Throws<GuestException>(() => Compose([Program, "-drive", "file=/dev/fdset/4,password=hunter2"])).Message, StringComparison.Ordinal);

    [Fact]
    public void The_plan_tells_the_files_that_QEMU_makes()
    {
        var plan = Compose([Program, .. Known.SelectMany(part => part.Old), "-object", "memory-backend-memfd,id=h,size=2M,hugetlb=on"]);
        Assert.Equal(["/dev/shm/dm-m1-pc.ram", "/dev/shm/dm-m1-m1", "/dev/shm/dm-m1-ram"], plan.MemoryFiles);
        Assert.Equal(["/huge/"], plan.KeptMemoryPaths);
        Assert.True(plan.UsesHugePages);
        Assert.Contains(Placement.MonitorPath, plan.Sockets);
        Assert.Contains("/run/dm/vm1/c,1", plan.Sockets);
        Assert.Equal(["/run/dm/vm1/p.in", "/run/dm/vm1/p.out", "/run/dm/vm1/pipe.in", "/run/dm/vm1/pipe.out"], plan.Pipes.Order());
    }

    [Fact]
    public void A_file_named_as_one_of_ours_gets_another_name() =>
        Assert.Contains("file:/run/dm/vm1/qemu.log-2", Compose([Program, "-serial", "file:/x/qemu.log"]).Arguments);

    [Fact]
    public void A_socket_path_that_Linux_does_not_take_is_refused()
    {
        var placement = Placement with { Folder = "/" + new string('x', 100) };
        Assert.Contains("107", Assert.Throws<GuestException>(() => LaunchPlan.Compose([Program, "-qmp", "unix:/run/monitor,server=on"], placement, _ => false)).Message, StringComparison.Ordinal);
        LaunchPlan.Compose([Program, "-serial", "file:/run/serial.log"], placement, _ => false);
    }

    [Fact]
    public void A_monitor_path_with_commas_is_escaped() => Assert.Contains(
        "unix:/run/a,,b,server=on,wait=off", LaunchPlan.Compose([Program], Placement with { MonitorPath = "/run/a,b" }, _ => false).Arguments);

    private static LaunchPlan Compose(IReadOnlyList<string> arguments) =>
        LaunchPlan.Compose(arguments, Placement, path => path.EndsWith('/'));
}
