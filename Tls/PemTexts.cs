using System.Text;

namespace DistMigrate.Tls;

/// <summary>What the files say.</summary>
internal sealed record PemTexts(string Certificate, string Key, string Authority)
{
    private const int MaxLength = 1 << 20;

    private const UnixFileMode OfOthers =
        UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.GroupExecute |
        UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute;

    /// <exception cref="TlsException">One cannot be read, or others may read the key.</exception>
    public static PemTexts Read(TlsFiles files) =>
        new(Read(files.Certificate, isSecret: false), Read(files.Key, isSecret: true), Read(files.Authority, isSecret: false));

    private static string Read(string path, bool isSecret)
    {
        try
        {
            using var file = File.OpenHandle(path);
            if (isSecret && (File.GetUnixFileMode(file) & OfOthers) != 0)
                throw new TlsException($"the private key {path} may be read or changed by others. Make it its owner's alone: chmod 600 {path}");
            var length = RandomAccess.GetLength(file);
            if (length > MaxLength)
                throw new TlsException($"{path} has {length} bytes, which is no PEM file of certificates. Name the right file.");
            var bytes = new byte[length];
            return Encoding.UTF8.GetString(bytes.AsSpan(0, RandomAccess.Read(file, bytes, 0)));
        }
        catch (Exception e) when (e is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new TlsException($"there is no file {path}. Put it there, or correct the setting.", e);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or NotSupportedException)
        {
            throw new TlsException($"{path} cannot be read ({e.Message.TrimEnd('.')}). It must be a file that the user of this process may read.", e);
        }
    }
}
