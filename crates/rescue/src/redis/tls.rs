//! TLS to Redis: whose certificates are trusted.

use std::{path::Path, sync::Arc};

use fred::types::config::{TlsConfig, TlsConnector};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::error::RescueError;

/// Trusts the CA of `ca_file`, or the system's.
pub(super) fn config(ca_file: Option<&Path>) -> Result<TlsConfig, RescueError> {
    let unusable = |problem: String| RescueError::CaFile {
        path: ca_file.map_or_else(|| "(the system's certificates)".into(), Into::into),
        problem,
    };
    let mut roots = RootCertStore::empty();
    match ca_file {
        Some(path) => {
            let certificates =
                CertificateDer::pem_file_iter(path).map_err(|error| unusable(error.to_string()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| unusable(error.to_string()))?;
                roots
                    .add(certificate)
                    .map_err(|error| unusable(error.to_string()))?;
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(unusable("there is no certificate in it".to_owned()));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}

/// What the settings have to do with a connection that could not be made. fred keeps of the cause its text alone.
pub(super) fn hint(is_tls: bool, problem: &str) -> &'static str {
    let says = |words: &[&str]| words.iter().any(|word| problem.contains(word));
    if !is_tls && says(&["UnexpectedEof", "ConnectionReset", "ConnectionAborted"]) {
        " (a TLS port? then rescue.url begins with rediss://)"
    } else if is_tls && says(&["UnknownIssuer"]) {
        " (rescue.tls_ca_file names the CA to trust)"
    } else {
        ""
    }
}
