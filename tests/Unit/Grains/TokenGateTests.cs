using CsCheck;
using DistMigrate.Contracts;
using DistMigrate.Grains;

namespace DistMigrate.Tests.Unit.Grains;

public sealed class TokenGateTests
{
    private static readonly Guid[] Ids = [Guid.NewGuid(), Guid.NewGuid()];

    [Fact]
    public void In_every_history_a_token_is_obeyed_exactly_when_it_is_higher_than_or_the_same_as_the_one_in_charge() =>
        Gen.Select(Gen.Int[1, 4], Gen.Int[0, 1]).Array[1, 20].Sample(history =>
        {
            var gate = new TokenGate(TimeProvider.System);
            FencingToken? current = null;
            foreach (var (number, id) in history)
            {
                var token = new FencingToken(number, Ids[id]);
                if (current is null || token.Number > current.Number || token == current)
                {
                    gate.Obey(token);
                    current = token;
                }
                else
                {
                    Assert.Equal(FailureReason.Fenced, Assert.Throws<MigrationException>(() => gate.Obey(token)).Reason);
                }
            }
        });
}
