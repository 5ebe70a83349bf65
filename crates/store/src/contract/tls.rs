//! TLS to PostgreSQL.

use std::time::Duration;

use settings::StoreSettings;
use testkit::eventually;

use super::fixture::postgres_at;
use crate::{Store, StoreError};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn tls_is_verified_as_far_as_sslmode_says() {
    let (ca, host) = (Authority::new(), "127.0.0.1");
    let server = testkit::Postgres::start_private().await;
    let database = server.database();
    let (certificate, key) = ca.issue(host);
    // Written by the server, so that the files are its own.
    for (pem, file) in [(certificate, "server.crt"), (key, "server.key")] {
        database.query(&format!(
            "COPY (SELECT unnest(string_to_array('{pem}', E'\\n'))) TO PROGRAM 'umask 077; cat > {file}'"
        ));
    }
    database.query("ALTER SYSTEM SET ssl = on");
    database.query("SELECT pg_reload_conf()");
    eventually(SOON, || async { database.query("SHOW ssl") == ["on"] }).await;

    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) = (folder.path().join("right.pem"), folder.path().join("wrong.pem"));
    std::fs::write(&right, ca.pem()).unwrap();
    std::fs::write(&wrong, Authority::new().pem()).unwrap();
    let check = async |sslmode: &str, ca_file: Option<&std::path::Path>, host: &str| {
        let url = database.url().replace("127.0.0.1", host);
        let mut settings = postgres_at(&format!("{url}?sslmode={sslmode}"));
        settings.tls_ca_file = ca_file.map(Into::into);
        let store = Store::connect(&StoreSettings::Postgres(settings)).unwrap();
        store.migrate().await?;
        store.check().await
    };
    for (sslmode, ca_file, host) in [
        ("disable", None, host),
        ("prefer", None, host),
        ("require", None, host),
        ("require", Some(&*right), "localhost"),
        ("verify-ca", Some(&*right), "localhost"),
        ("verify-full", Some(&*right), host),
    ] {
        check(sslmode, ca_file, host).await.unwrap();
    }
    for (sslmode, ca_file, host) in [
        ("require", Some(&*wrong), host),
        ("verify-ca", Some(&*wrong), host),
        ("verify-full", Some(&*wrong), host),
        ("verify-full", Some(&*right), "localhost"),
        ("verify-full", None, host),
    ] {
        let error = check(sslmode, ca_file, host).await.unwrap_err();
        assert!(
            matches!(error, StoreError::Refused(_)),
            "{sslmode} {host}: {error:?}"
        );
    }
    // With TLS that is refused, `require` does not go on without.
    database.query("ALTER SYSTEM SET ssl = off");
    database.query("SELECT pg_reload_conf()");
    eventually(SOON, || async { database.query("SHOW ssl") == ["off"] }).await;
    assert!(check("require", None, host).await.is_err());
    check("prefer", None, host).await.unwrap();
}

/// A CA of the test's own.
struct Authority {
    certificate: rcgen::Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            certificate,
            issuer: rcgen::Issuer::new(params, key),
        }
    }

    fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// A certificate for a host, and its key.
    fn issue(&self, host: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new([host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}
