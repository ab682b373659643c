using DistMigrate.Guests;
using DistMigrate.Transfer;

namespace DistMigrate.Grains;

/// <summary>Gives every failure of the layers below a type that crosses the wire with its reason.</summary>
internal sealed class FailureFilter : IIncomingGrainCallFilter
{
    public async Task Invoke(IIncomingGrainCallContext context)
    {
        try
        {
            await context.Invoke();
        }
        catch (Exception e) when (e is GuestException or ImageException or IOException or UnauthorizedAccessException)
        {
            throw FailureTranslation.Translate(e);
        }
    }
}
