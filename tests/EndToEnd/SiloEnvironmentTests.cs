namespace DistMigrate.Tests.EndToEnd;

/// <summary>What a silo takes from the environment of the command that starts it.</summary>
public sealed class SiloEnvironmentTests(ProductUnderTest product) : IClassFixture<ProductUnderTest>
{
    [Fact]
    public async Task A_silo_takes_its_name_from_its_own_setting_and_not_from_variables_of_others()
    {
        product.Settings["HOST"] = "a-shell";
        product.Settings["DISTMIGRATE_HOST"] = "another-host";
        product.Settings["DISTMIGRATE_Host"] = "this-host";
        (await product.RunAsync("status")).ExpectOk();
        Assert.Equal("this-host", product.ReadEndpoint()!.Value.GetProperty("host").GetString());
    }
}
