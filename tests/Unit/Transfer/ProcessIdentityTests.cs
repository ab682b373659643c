using System.Diagnostics;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Transfer;

public sealed class ProcessIdentityTests
{
    [Fact]
    public void A_process_that_runs_is_alive_and_a_later_one_of_the_same_number_is_not_taken_for_it()
    {
        var own = ThisProcess.Identity("host-a");
        Assert.True(own.IsAlive());
        Assert.False((own with { StartTime = own.StartTime + 1 }).IsAlive());
        Assert.False((own with { Pid = int.MaxValue }).IsAlive());
        Assert.False((own with { Pid = -1 }).IsAlive());
    }

    [Fact]
    public void A_process_is_told_alive_and_dead_whatever_its_name_holds()
    {
        using var folder = new TestFolder();
        const string name = "a) Z 1 (b) 22 ";
        File.Copy("/bin/sleep", folder[name]);
        File.SetUnixFileMode(folder[name], UnixFileMode.UserRead | UnixFileMode.UserExecute);
        using var process = Process.Start(new ProcessStartInfo(folder[name]) { ArgumentList = { "600" } })!;
        try
        {
            var identity = new ProcessIdentity("host-a", process.Id, ThisProcess.StartTimeOf(process.Id, name));
            Assert.True(identity.IsAlive());
            process.Kill();
            process.WaitForExit();
            Assert.False(identity.IsAlive());
        }
        finally
        {
            process.Kill();
        }
    }
}
