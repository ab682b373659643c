namespace DistMigrate.Tls;

/// <summary>
/// The credentials in files, as they are now: files that were written anew count from the next connection on, so that renewal needs no
/// restart.
/// </summary>
public sealed class CredentialFiles
{
    private readonly TlsFiles _files;
    private readonly TlsRole _role;
    private readonly ITlsReport _report;
    private readonly Lock _lock = new();
    private PemTexts _texts;
    private TlsCredentials _credentials;
    private string? _problem;

    /// <param name="files">The files.</param>
    /// <param name="role">What this process is.</param>
    /// <param name="report">Is told of changes.</param>
    /// <exception cref="TlsException">A file cannot be used.</exception>
    public CredentialFiles(TlsFiles files, TlsRole role, ITlsReport report)
    {
        _files = files;
        _role = role;
        _report = report;
        _texts = PemTexts.Read(files);
        _credentials = TlsCredentials.Parse(files, _texts, role);
    }

    /// <summary>Reads the files again, and gives what was read last that can be used.</summary>
    public TlsCredentials Current()
    {
        lock (_lock)
        {
            try
            {
                // They are small, and connections are few; no time stamp is to be trusted.
                var texts = PemTexts.Read(_files);
                if (texts != _texts)
                {
                    _credentials = TlsCredentials.Parse(_files, texts, _role);
                    _texts = texts;
                    _report.Renewed(_credentials);
                }

                _problem = null;
            }
            catch (TlsException e)
            {
                if (_problem != e.Message)
                    _report.NotRenewed(e);
                _problem = e.Message;
            }

            return _credentials;
        }
    }
}
