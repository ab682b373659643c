using System.Collections;
using DistMigrate.Silo;
using DistMigrate.Transfer;

namespace DistMigrate.Tests.Unit.Silo;

public sealed class SiloEnvironmentTests
{
    [Fact]
    public void Settings_are_read_by_our_prefix()
    {
        var settings = Read(
            ("DISTMIGRATE_Host", "host-a"), ("DISTMIGRATE_Storage__Roots__0", "/srv/a"), ("DISTMIGRATE_Storage__Roots__1", "/srv/b"),
            ("DISTMIGRATE_Guests__vm1", "/run/vm1.sock"), ("DISTMIGRATE_Limits__MaxOutgoing", "3"), ("DISTMIGRATE_IDLEEXIT", "00:00:30"));
        Assert.Equal(("host-a", 3, TimeSpan.FromSeconds(30)), (settings.Host, settings.Limits.MaxOutgoing, settings.IdleExit));
        Assert.Equal(["/srv/a", "/srv/b"], settings.Storage.Roots);
        Assert.Equal("/run/vm1.sock", settings.Guests["vm1"]);
    }

    [Fact]
    public void Variables_that_others_use_are_no_settings()
    {
        var settings = Read(
            ("HOST", "elsewhere"), ("Host", "elsewhere"), ("ADDRESS", "0.0.0.0"), ("GatewayPort", "1"), ("Storage__Roots__0", "/"),
            ("Limits__Writers", "9"), ("distmigrate_Host", "elsewhere"));
        Assert.Equal((Environment.MachineName, "127.0.0.1", 0, WriterOptions.DefaultWriters), (settings.Host, settings.Address, settings.GatewayPort, settings.Limits.Writers));
        Assert.Empty(settings.Storage.Roots);
    }

    [Fact]
    public void The_variables_of_the_command_and_of_the_tests_are_no_settings()
    {
        var settings = Read(
            ("DISTMIGRATE_HOST", "elsewhere"), ("DISTMIGRATE_STATE", "/state"), ("DISTMIGRATE_SILO", "/silo"), ("DISTMIGRATE_GATEWAYS", "10.0.0.7:30000"),
            ("DISTMIGRATE_CLUSTER", "redis.example"), ("DISTMIGRATE_CLUSTER_ID", "secret"), ("DISTMIGRATE_DEBUG", "1"), ("DISTMIGRATE_FULL", "1"));
        Assert.Equivalent(new SiloSettings(), settings, strict: true);
    }

    [Fact]
    public void A_variable_that_is_meant_as_a_setting_and_is_none_is_told()
    {
        var refused = Assert.Throws<SettingsException>(() => Read(
            ("DISTMIGRATE_GatwayPort", "1"), ("DISTMIGRATE_LIMITS__WRITRES", "1"), ("DISTMIGRATE_Storage__Roots", "/srv")));
        Assert.Equal(
            [
                "GatwayPort is no setting; GatewayPort is one",
                "Limits:WRITRES is no setting; Limits:Writers is one",
                "Storage:Roots is a single value; it is a list, such as [ \"one\", \"two\" ], or in the environment a variable for each entry that ends with its number (__0)",
            ],
            refused.Faults.Order());
    }

    [Fact]
    public void Two_variables_of_one_setting_are_no_error_and_the_one_written_like_it_counts()
    {
        Assert.Equal("host-a", Read(("DISTMIGRATE_HOST", "elsewhere"), ("DISTMIGRATE_Host", "host-a")).Host);
        Assert.Equal(5, Read(("DISTMIGRATE_Limits__Writers", "5"), ("DISTMIGRATE_LIMITS__WRITERS", "6")).Limits.Writers);
    }

    private static SiloSettings Read(params (string Name, string Value)[] variables) =>
        SettingsReader.Load(configFile: null, new Hashtable(variables.ToDictionary(variable => variable.Name, variable => variable.Value)));
}
