using DistMigrate.Posix;

namespace DistMigrate.Transfer;

/// <summary>What is asked of the storage of an image.</summary>
public enum StorageOperation
{
    /// <summary>pwrite(2) of pages, headers, bitmaps or the tail.</summary>
    Write,

    /// <summary>fsync(2) of all descriptions of the image, and the check of its identity.</summary>
    FSync,

    /// <summary>fallocate(2): space reserved or given back.</summary>
    Allocate,

    /// <summary>ftruncate(2), and the opening that goes with it.</summary>
    Truncate,

    /// <summary>Changes of the journal, with the fsyncs that they need.</summary>
    Journal,
}

/// <summary>Is told of every call to the storage of images, from the threads that make them. It does not block and throws nothing.</summary>
public interface IStorageObserver
{
    /// <summary>A call has returned.</summary>
    /// <param name="operation">What was asked.</param>
    /// <param name="took">How long that took.</param>
    /// <param name="errno">Its error; <see cref="Errno.None"/> for a failure without a number, such as a short write; null when it went well.</param>
    void Called(StorageOperation operation, TimeSpan took, Errno? errno);
}
