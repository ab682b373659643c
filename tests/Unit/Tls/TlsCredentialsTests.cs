using System.Net;
using DistMigrate.Tests.Lab;
using DistMigrate.Tls;

namespace DistMigrate.Tests.Unit.Tls;

/// <summary>Which files a silo or a client takes, and what it says of others.</summary>
public sealed class TlsCredentialsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("dm-tls-").FullName;
    private readonly TestAuthority _authority;

    public TlsCredentialsTests() => _authority = new TestAuthority(Path.Combine(_folder, "own"));

    public void Dispose()
    {
        _authority.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Fact]
    public void Certificates_of_the_authority_are_taken_in_their_role()
    {
        Assert.Contains("CN=silo", TlsCredentials.Load(Files("silo", isSilo: true), TlsRole.Silo).Name, StringComparison.Ordinal);
        TlsCredentials.Load(Files("silo", isSilo: true), TlsRole.Client);
        TlsCredentials.Load(Files("client", isSilo: false), TlsRole.Client);
        Refused(Files("client", isSilo: false), "is not a silo's", TlsRole.Silo);
    }

    [Fact]
    public void A_certificate_that_does_not_say_what_it_is_for_is_refused() =>
        Refused(Of(_authority.Issue("any", isSilo: true, hasUsage: false)), "extended key usage");

    [Fact]
    public void A_certificate_of_another_authority_of_the_same_name_is_refused()
    {
        using var other = new TestAuthority(Path.Combine(_folder, "other"));
        var files = Of(other.Issue("silo", isSilo: true));
        Refused(files, files.Authority);
    }

    [Fact]
    public void An_expired_certificate_is_refused()
    {
        var files = Of(_authority.Issue("silo", isSilo: true, TimeSpan.FromHours(-1)));
        Refused(files, files.Certificate);
        Refused(files, "is valid from");
    }

    [Fact]
    public void A_key_of_another_certificate_is_refused()
    {
        var files = Files("silo", isSilo: true) with { Key = _authority.Issue("another", isSilo: true).Key };
        Refused(files, $"{files.Key} is not the private key of {files.Certificate}");
    }

    [Theory]
    [InlineData(UnixFileMode.GroupRead)]
    [InlineData(UnixFileMode.OtherRead)]
    [InlineData(UnixFileMode.OtherWrite)]
    public void A_key_that_others_may_read_or_change_is_refused(UnixFileMode also)
    {
        var files = Files("silo", isSilo: true);
        File.SetUnixFileMode(files.Key, UnixFileMode.UserRead | also);
        Refused(files, $"chmod 600 {files.Key}");
    }

    [Fact]
    public void A_key_with_a_passphrase_is_refused()
    {
        var files = Files("silo", isSilo: true);
        File.WriteAllText(files.Key, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n");
        Refused(files, "passphrase");
    }

    [Fact]
    public void A_file_that_is_not_there_is_named()
    {
        var files = Files("silo", isSilo: true);
        var missing = Path.Combine(_folder, "missing.pem");
        foreach (var wrong in new[] { files with { Certificate = missing }, files with { Key = missing }, files with { Authority = missing } })
            Refused(wrong, missing);
    }

    [Fact]
    public void A_folder_a_huge_file_and_what_is_no_PEM_are_named()
    {
        var files = Files("silo", isSilo: true);
        Refused(files with { Certificate = _folder }, _folder);
        foreach (var text in new[] { "", "nothing", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", new string('x', (1 << 20) + 1) })
        {
            var path = Path.Combine(_folder, "wrong.pem");
            File.WriteAllText(path, text);
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            foreach (var wrong in new[] { files with { Certificate = path }, files with { Key = path }, files with { Authority = path } })
                Refused(wrong, path);
        }
    }

    [Fact]
    public void A_certificate_that_is_no_authoritys_is_refused_as_authority()
    {
        var files = Files("silo", isSilo: true);
        Refused(files with { Authority = files.Certificate }, "CA:TRUE");
    }

    [Fact]
    public void Files_that_were_written_anew_count_and_bad_ones_are_told_once_and_do_not()
    {
        var told = new Told();
        var files = Files("silo", isSilo: true);
        var credentials = new CredentialFiles(files, TlsRole.Silo, told);
        var first = credentials.Current();
        Assert.Same(first, credentials.Current());

        _authority.Issue("silo", isSilo: true, TimeSpan.FromDays(2));
        var second = credentials.Current();
        Assert.True(second.ValidUntil > first.ValidUntil);
        Assert.Equal(1, told.Renewals);

        File.Delete(files.Key);
        Assert.Same(second, credentials.Current());
        Assert.Same(second, credentials.Current());
        Assert.Contains(files.Key, Assert.Single(told.Problems), StringComparison.Ordinal);
    }

    private TlsFiles Files(string name, bool isSilo) => Of(_authority.Issue(name, isSilo));

    private TlsFiles Of((string Certificate, string Key) member) => new(member.Certificate, member.Key, _authority.CertificateFile);

    private static void Refused(TlsFiles files, string what, TlsRole role = TlsRole.Silo) =>
        Assert.Contains(what, Assert.Throws<TlsException>(() => TlsCredentials.Load(files, role)).Message, StringComparison.Ordinal);

    private sealed class Told : ITlsReport
    {
        public List<string> Problems { get; } = [];

        public int Renewals { get; private set; }

        public void Refused(EndPoint? peer, string reason) => Assert.Fail(reason);

        public void Renewed(TlsCredentials credentials) => Renewals++;

        public void NotRenewed(TlsException reason) => Problems.Add(reason.Message);
    }
}
