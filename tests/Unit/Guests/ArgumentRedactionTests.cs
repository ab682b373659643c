using DistMigrate.Guests;

namespace DistMigrate.Tests.Unit.Guests;

public sealed class ArgumentRedactionTests
{
    [Theory]
    [InlineData("-object", "secret,id=sec0,data=hunter2")]
    [InlineData("--object", "secret,id=sec0,format=base64,data=hunter2==,keyid=master,iv=AAAA")]
    [InlineData("-object", """{"qom-type":"secret","id":"sec0","data":"hunter2"}""")]
    [InlineData("-spice", "port=5900,password=hunter2,,more")]
    [InlineData("-drive", "file=iscsi://user%hunter2@host/target/0,format=raw")]
    [InlineData("-drive", "file=https://user:hunter2@host/disk.img")]
    [InlineData("-drive", "file=rbd:pool/image:id=admin:key=hunter2==:mon_host=a,format=raw")]
    [InlineData("-drive", "file.driver=ssh,file.password=hunter2")]
    [InlineData("-blockdev", """{"driver":"https","url":"https://a:hunter2@h/x","cookie":"hunter2","nested":{"list":[{"key":"hunter2"},"password=hunter2"]}}""")]
    [InlineData("-iscsi", "id=i0,user=me,password=hunter2,header-digest=none")]
    [InlineData("-device", "isa-applesmc,osk=hunter2")]
    [InlineData("-netdev", "l2tpv3,id=n0,src=a,dst=b,txsession=1,txcookie=hunter2,rxcookie=hunter2")]
    [InlineData("-fw_cfg", "name=opt/ignition,string=hunter2")]
    [InlineData("-smbios", "type=11,value=io.systemd.credential:pw=hunter2")]
    [InlineData("-append", "console=ttyS0 rd.luks.key=hunter2 systemd.set_credential=pw:hunter2,x PASSWORD=\"hunter2 hunter2\" quiet")]
    public void Secrets_are_removed(string option, string argument)
    {
        var clean = ArgumentRedaction.Redact(["qemu-system-x86_64", option, argument]);
        Assert.DoesNotContain("hunter2", clean[2], StringComparison.Ordinal);
        Assert.Contains(ArgumentRedaction.Mark, clean[2], StringComparison.Ordinal);
        Assert.Equal([option], clean.Skip(1).Take(1));
    }

    [Theory]
    [InlineData("-object", "secret,id=sec0,file=/etc/qemu/key")]
    [InlineData("-object", "tls-creds-x509,id=tls0,dir=/etc/pki,passwordid=sec0")]
    [InlineData("-object", "memory-backend-file,id=pc.ram,size=512M,mem-path=/dev/shm/ram,share=on")]
    [InlineData("-drive", "file=/var/lib/disk@1.qcow2,encrypt.key-secret=sec0,password-secret=sec1")]
    [InlineData("-netdev", "user,id=n0,hostfwd=tcp::2222-:22")]
    [InlineData("-append", "console=ttyS0 root=/dev/vda ro")]
    [InlineData("-blockdev", """{"driver":"qcow2","node-name":"n0","encrypt":{"format":"luks","key-secret":"sec0"}}""")]
    [InlineData("-m", "512M")]
    public void What_is_not_secret_stays(string option, string argument) =>
        Assert.Equal([option, argument], ArgumentRedaction.Redact([option, argument]));

    [Fact]
    public void Every_secret_key_is_removed_in_all_three_forms()
    {
        foreach (var key in ArgumentRedaction.SecretKeys)
        {
            Assert.Equal($"x,a.{key}=***,b=c", ArgumentRedaction.Redact(["-drive", $"x,a.{key}=hunter2,b=c"])[1]);
            Assert.Equal($$"""{"a":["{{key}}",{"{{key}}":"***"}]}""", ArgumentRedaction.Redact(["-blockdev", $$"""{"a":["{{key}}",{"{{key}}":"hunter2"}]}"""])[1]);
            Assert.Equal($"{key}=*** quiet", ArgumentRedaction.Redact(["-append", $"{key}=hunter2 quiet"])[1]);
        }
    }

    [Fact]
    public void The_file_name_of_a_disk_loses_its_secrets() =>
        Assert.Equal("""json:{"driver":"rbd","key":"***"}""", ArgumentRedaction.Redact("""json:{"driver":"rbd","key":"hunter2"}"""));
}
