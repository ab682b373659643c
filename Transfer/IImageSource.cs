using DistMigrate.Guests;
using DistMigrate.MappedRam;

namespace DistMigrate.Transfer;

/// <summary>What an image is made of: the guest, as far as its image is concerned.</summary>
internal interface IImageSource
{
    /// <summary>Its QEMU process.</summary>
    ProcessIdentity Process { get; }

    /// <summary>How it is built.</summary>
    GuestDescription Description { get; }

    /// <summary>Where its memory lies in the image.</summary>
    ImageLayout Layout { get; }

    /// <summary>Opens the memory of a RAMBlock.</summary>
    /// <exception cref="GuestException">It cannot be read.</exception>
    IGuestMemory OpenMemory(string ramBlock);
}
