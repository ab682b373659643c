using DistMigrate.Tls;
using Microsoft.Extensions.Options;
using Orleans.Configuration;

namespace DistMigrate.Silo;

/// <summary>Puts TLS on every connection of a silo. Silos connect to silos; clients, which are no silos, to gateways only.</summary>
internal sealed class SiloTls(CredentialFiles files, TlsLog log) : IConfigureOptions<SiloConnectionOptions>
{
    public static void AddTo(ISiloBuilder silo, TlsSettings settings)
    {
        silo.Services.AddSingleton<TlsLog>();
        silo.Services.AddSingleton(services => new CredentialFiles(settings.ToFiles(), TlsRole.Silo, services.GetRequiredService<TlsLog>()));
        silo.Services.AddSingleton<IConfigureOptions<SiloConnectionOptions>, SiloTls>();
    }

    public void Configure(SiloConnectionOptions options)
    {
        log.Renewed(files.Current());
        options.ConfigureSiloOutboundConnection(builder => builder.UseMiddleware(TlsMiddleware.Connecting(files, log)));
        options.ConfigureSiloInboundConnection(builder => builder.UseMiddleware(TlsMiddleware.Accepting(files, TlsRole.Silo, log)));
        options.ConfigureGatewayInboundConnection(builder => builder.UseMiddleware(TlsMiddleware.Accepting(files, TlsRole.Client, log)));
    }
}
