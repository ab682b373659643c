using DistMigrate.Client.Doctor;

namespace DistMigrate.Tests.Unit.Client.Doctor;

public sealed class MountAdviceTests
{
    [Theory]
    [InlineData("ext4", "rw,relatime", nameof(Verdict.Ok), "local")]
    [InlineData("xfs", "rw", nameof(Verdict.Ok), "local")]
    [InlineData("ext4", "ro,relatime", nameof(Verdict.Failed), "read-only")]
    [InlineData("ext4", "rw,nobarrier", nameof(Verdict.Failed), "barriers")]
    [InlineData("ext4", "rw,barrier=0", nameof(Verdict.Failed), "barriers")]
    [InlineData("nfs4", "rw,vers=4.2,hard,local_lock=none", nameof(Verdict.Ok), "vers=4.2: shared, hard")]
    [InlineData("nfs", "rw,vers=3,hard,local_lock=none", nameof(Verdict.Ok), "vers=3")]
    [InlineData("nfs", "rw,vers=3,soft,local_lock=none", nameof(Verdict.Warning), "soft")]
    [InlineData("nfs4", "rw,vers=4.2,softerr,local_lock=none", nameof(Verdict.Warning), "softerr")]
    [InlineData("nfs4", "rw,sync,vers=4.2,hard,local_lock=none", nameof(Verdict.Warning), "sync")]
    [InlineData("nfs4", "rw,noac,vers=4.2,hard,local_lock=none", nameof(Verdict.Warning), "noac")]
    [InlineData("nfs", "rw,vers=3,hard,nolock,local_lock=all", nameof(Verdict.Failed), "(nolock)")]
    [InlineData("nfs", "rw,vers=3,soft,local_lock=flock", nameof(Verdict.Failed), "(local_lock=flock)")]
    [InlineData("nfs", "rw,vers=3,hard,local_lock=posix", nameof(Verdict.Ok), "shared")]
    [InlineData("cifs", "rw,nobrl", nameof(Verdict.Failed), "nobrl")]
    [InlineData("cifs", "rw,cache=loose", nameof(Verdict.Warning), "cache=loose")]
    [InlineData("smb3", "rw,cache=strict", nameof(Verdict.Warning), "not tested")]
    [InlineData("fuse.sshfs", "rw,user_id=0", nameof(Verdict.Failed), "locks reach only this host")]
    [InlineData("fuse.glusterfs", "rw", nameof(Verdict.Ok), "shared")]
    [InlineData("ceph", "rw", nameof(Verdict.Ok), "shared")]
    [InlineData("lustre", "rw,localflock", nameof(Verdict.Failed), "localflock")]
    [InlineData("gfs2", "rw,localflocks", nameof(Verdict.Failed), "localflocks")]
    [InlineData("overlay", "rw,upperdir=/u", nameof(Verdict.Warning), "container")]
    [InlineData("tmpfs", "rw,size=1g", nameof(Verdict.Warning), "memory of this host")]
    [InlineData("ramfs", "rw", nameof(Verdict.Warning), "memory of this host")]
    [InlineData("virtiofs", "rw", nameof(Verdict.Warning), "machine that serves it")]
    [InlineData("fuse.rclone", "rw", nameof(Verdict.Warning), "not known")]
    public void The_verdict_follows_type_and_options(string type, string options, string verdict, string words)
    {
        var finding = MountAdvice.Judge(new MountEntry("0:1", "/srv/images", type, "source", options.Split(',')));
        Assert.Equal((verdict, true), (finding.Verdict.ToString(), finding.Found.Contains(words, StringComparison.Ordinal)));
        Assert.StartsWith($"{type} source at /srv/images", finding.Found, StringComparison.Ordinal);
        Assert.Equal(finding.Verdict == Verdict.Ok, finding.Fix is null);
        Assert.Equal(finding.Fix is null, finding.Why is null);
    }
}
