using Orleans.Placement;

namespace DistMigrate.Grains.Placement;

/// <summary>
/// Places a grain on the silo of the host that its key names, and nowhere else. Where it lives is a function of key and membership
/// alone, so it has no directory entry that the death of another silo could take away.
/// </summary>
[GenerateSerializer, Immutable, SuppressReferenceTracking, Alias("distmigrate.HostPinnedPlacement")]
internal sealed class HostPinnedPlacement : PlacementStrategy
{
    public static HostPinnedPlacement Instance { get; } = new();

    public override bool IsUsingGrainDirectory => false;
}

/// <summary>Marks a grain class whose key begins with a host's name.</summary>
[AttributeUsage(AttributeTargets.Class)]
internal sealed class HostPinnedAttribute() : PlacementAttribute(HostPinnedPlacement.Instance);
