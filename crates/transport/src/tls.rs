//! TLS from PEM files, and the names in client certificates.

use std::{path::Path, sync::Arc, time::Duration};

use rustls::{
    RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};
use settings::{ClientCert, TlsServerSettings};
use tokio_rustls::TlsAcceptor;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

use crate::error::TlsError;

/// How long a peer may take for the handshake.
pub(crate) const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// What makes TLS of accepted connections.
pub(crate) fn acceptor(settings: &TlsServerSettings) -> Result<TlsAcceptor, TlsError> {
    let builder = ServerConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    let verifier = |ca_file: &Path| {
        let roots = Arc::new(read_roots(ca_file)?);
        Ok::<_, TlsError>(WebPkiClientVerifier::builder_with_provider(roots, provider()))
    };
    let builder = match &settings.client_cert {
        ClientCert::Off => builder.with_no_client_auth(),
        ClientCert::Optional(ca_file) => {
            builder.with_client_cert_verifier(verifier(ca_file)?.allow_unauthenticated().build()?)
        }
        ClientCert::Required(ca_file) => builder.with_client_cert_verifier(verifier(ca_file)?.build()?),
    };
    let config = builder.with_single_cert(
        read_certificates(&settings.cert_file)?,
        read_key(&settings.key_file)?,
    )?;
    Ok(TlsAcceptor::from(Arc::new(config)))
}

pub(crate) fn read_roots(ca_file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in read_certificates(ca_file)? {
        roots.add(certificate).map_err(|source| TlsError::BadCa {
            path: ca_file.to_owned(),
            source,
        })?;
    }
    Ok(roots)
}

pub(crate) fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let certificates = certificates.map_err(|source| TlsError::File {
        what: "certificates",
        path: path.to_owned(),
        source,
    })?;
    if certificates.is_empty() {
        return Err(TlsError::NoCertificate(path.to_owned()));
    }
    Ok(certificates)
}

pub(crate) fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| TlsError::File {
        what: "a private key",
        path: path.to_owned(),
        source,
    })
}

/// The name in a certificate that was checked: the first DNS name of its subject alternative names, else its
/// common name.
pub(crate) fn name_in(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, certificate) = parse_x509_certificate(certificate).ok()?;
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let dns_name = alternative.and_then(|names| {
        names.value.general_names.iter().find_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        })
    });
    dns_name.or_else(|| {
        let common_name = certificate.subject().iter_common_name().next()?;
        common_name.as_str().ok().map(str::to_owned)
    })
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DnType, KeyPair};

    use super::*;

    #[track_caller]
    fn check(dns_names: &[&str], common_name: &str, expected: Option<&str>) {
        let names: Vec<_> = dns_names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !common_name.is_empty() {
            params.distinguished_name.push(DnType::CommonName, common_name);
        }
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        assert_eq!(name_in(certificate.der()).as_deref(), expected);
    }

    #[test]
    fn a_peer_has_the_name_in_its_certificate() {
        check(&["a.example", "b.example"], "c.example", Some("a.example"));
        check(&["192.0.2.1"], "c.example", Some("c.example"));
        check(&[], "c.example", Some("c.example"));
        check(&[], "", None);
    }
}
