using System.Net;

namespace DistMigrate.Tls;

/// <summary>Takes what an operator wants to know of TLS. It is called from several threads.</summary>
public interface ITlsReport
{
    /// <summary>There will be no connection with a peer.</summary>
    /// <param name="peer">Its address; null when that is not known.</param>
    /// <param name="reason">Why, as the end of a sentence that began with the peer.</param>
    void Refused(EndPoint? peer, string reason);

    /// <summary>The files have changed, and new connections use what is in them now.</summary>
    void Renewed(TlsCredentials credentials);

    /// <summary>The files have changed and cannot be used; new connections go on with what was read before.</summary>
    void NotRenewed(TlsException reason);
}
