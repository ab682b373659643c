using DistMigrate.MappedRam;
using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>An open file of an <see cref="IFileSystem"/>; its length is that of now.</summary>
internal interface IStoredFile : IImageInput
{
    /// <inheritdoc cref="Libc.PWrite"/>
    int Write(ReadOnlySpan<byte> bytes, long offset, out Errno errno);

    /// <inheritdoc cref="Libc.PWriteExactly"/>
    void Write(ReadOnlySpan<byte> bytes, long offset);

    /// <inheritdoc cref="Libc.TryExtents"/>
    IReadOnlyList<(long Start, long End)>? TryExtents(long start, long end);

    /// <inheritdoc cref="Libc.Allocate"/>
    Errno Allocate(long offset, long length);

    /// <inheritdoc cref="Libc.PunchHole"/>
    Errno PunchHole(long offset, long length);

    /// <inheritdoc cref="Libc.FSync"/>
    void FSync();

    /// <inheritdoc cref="Libc.Truncate"/>
    void Truncate(long length);

    /// <inheritdoc cref="Libc.TryLock"/>
    bool TryLock();

    /// <inheritdoc cref="Libc.Identify(Descriptor)"/>
    FileIdentity Identify();

    /// <inheritdoc cref="Descriptor.CloseChecked"/>
    void CloseChecked();
}
