//! TLS to PostgreSQL.

use std::time::Duration;

use settings::StoreSettings;
use testkit::{Authority, eventually};

use super::fixture::postgres_at;
use crate::{Store, StoreError};

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn tls_is_verified_as_far_as_sslmode_says() {
    let folder = tempfile::tempdir().unwrap();
    let ca = |name| Authority::new(folder.path(), name);
    let (right, wrong, host) = (ca("right"), ca("wrong"), "127.0.0.1");
    let server = testkit::Postgres::start_private().await;
    let database = server.database();
    let issued = right.issue("server", host);
    // Written by the server, so that the files are its own.
    for (pem, file) in [(issued.cert_file, "server.crt"), (issued.key_file, "server.key")] {
        let pem = std::fs::read_to_string(pem).unwrap();
        database.query(&format!(
            "COPY (SELECT unnest(string_to_array('{pem}', E'\\n'))) TO PROGRAM 'umask 077; cat > {file}'"
        ));
    }
    database.query("ALTER SYSTEM SET ssl = on");
    database.query("SELECT pg_reload_conf()");
    eventually(SOON, || async { database.query("SHOW ssl") == ["on"] }).await;

    let (right, wrong) = (right.file(), wrong.file());
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
        ("require", Some(right), "localhost"),
        ("verify-ca", Some(right), "localhost"),
        ("verify-full", Some(right), host),
    ] {
        check(sslmode, ca_file, host).await.unwrap();
    }
    for (sslmode, ca_file, host) in [
        ("require", Some(wrong), host),
        ("verify-ca", Some(wrong), host),
        ("verify-full", Some(wrong), host),
        ("verify-full", Some(right), "localhost"),
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
