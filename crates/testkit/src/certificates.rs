//! Certificates for tests of TLS: a CA of the test's own, and what it signs.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};

use crate::server::or_fail;

/// A CA. What it signs lies as PEM files in its folder.
///
/// ```
/// let dir = tempfile::tempdir().unwrap();
/// let ca = testkit::Authority::new(dir.path(), "ca");
/// let server = ca.issue("server", "localhost");
/// assert!(ca.file().is_file() && server.cert_file.is_file() && server.key_file.is_file());
/// ```
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    file: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

/// The files of a certificate and its private key.
#[derive(Debug, Clone)]
pub struct Issued {
    /// The certificate.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

impl Authority {
    /// A new CA, whose certificate is `<name>.pem` in `dir`.
    ///
    /// # Panics
    /// If the file cannot be written.
    #[must_use]
    pub fn new(dir: &Path, name: &str) -> Self {
        or_fail(Self::make(dir, name))
    }

    fn make(dir: &Path, name: &str) -> anyhow::Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        let file = dir.join(format!("{name}.pem"));
        fs::write(&file, params.self_signed(&key)?.pem())?;
        Ok(Self {
            dir: dir.to_owned(),
            file,
            issuer: Issuer::new(params, key),
        })
    }

    /// The file to trust it by.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A certificate for `host`, which may be an address, as `<name>.pem` and `<name>.key`: good for servers and
    /// for clients.
    ///
    /// # Panics
    /// If a file cannot be written.
    #[must_use]
    pub fn issue(&self, name: &str, host: &str) -> Issued {
        or_fail(self.sign(name, host))
    }

    fn sign(&self, name: &str, host: &str) -> anyhow::Result<Issued> {
        let mut params = CertificateParams::new([host.to_owned()])?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate()?;
        let issued = Issued {
            cert_file: self.dir.join(format!("{name}.pem")),
            key_file: self.dir.join(format!("{name}.key")),
        };
        fs::write(&issued.cert_file, params.signed_by(&key, &self.issuer)?.pem())?;
        fs::write(&issued.key_file, key.serialize_pem())?;
        Ok(issued)
    }
}
