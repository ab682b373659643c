namespace DistMigrate.Silo;

/// <summary>Where traces go.</summary>
internal sealed class OtlpSettings
{
    private const string Rule = "it is the address of an OTLP receiver, such as http://127.0.0.1:4317";

    [Setting("an OTLP receiver (gRPC), such as `http://127.0.0.1:4317`, that gets a trace of each migration: its phases, the steps of the hosts, fsyncs and faults")]
    public string Endpoint { get; set; } = "";

    [Setting("`Grpc`, or `HttpProtobuf` for a receiver at `/v1/traces`")]
    public OtlpProtocol Protocol { get; set; } = OtlpProtocol.Grpc;

    /// <summary>Tells everything that makes no sense.</summary>
    public void Check(SettingFaults faults)
    {
        if (Endpoint.Length > 0 && !(Uri.TryCreate(Endpoint, UriKind.Absolute, out var uri) && uri.Scheme is "http" or "https"))
            faults.Value("Otlp:Endpoint", Endpoint, Rule);
    }
}

/// <summary>How an OTLP receiver is spoken to.</summary>
internal enum OtlpProtocol
{
    /// <summary>gRPC.</summary>
    Grpc,

    /// <summary>Protocol buffers over HTTP.</summary>
    HttpProtobuf,
}
