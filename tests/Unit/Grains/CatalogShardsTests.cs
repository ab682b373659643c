using CsCheck;
using DistMigrate.Contracts;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class CatalogShardsTests
{
    [Fact]
    public void Every_id_has_one_of_the_shards() =>
        Gen.String[1, 64].Sample(id => Assert.InRange(CatalogShards.ShardOf(id), 0, CatalogShards.Count - 1));

    [Theory]
    [InlineData("a", 1)]
    [InlineData("m1", 6)]
    [InlineData("vm1-20260102-030405", 7)]
    public void An_id_keeps_its_shard_in_every_version(string id, int shard) => Assert.Equal(shard, CatalogShards.ShardOf(id));

    [Fact]
    public void An_id_must_not_be_empty() => Assert.Throws<ArgumentException>(() => CatalogShards.ShardOf(""));
}
