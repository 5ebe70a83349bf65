//! Connections to servers, with or without TLS.

mod relp;

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use rustls::{AlertDescription, CertificateError, ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

pub use self::relp::{RelpClient, RelpClientError};
use crate::{error::TlsError, tls};

/// How long a server may take to accept a connection, and again for the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// TLS as a client wants it.
#[derive(Debug, Clone, Default)]
pub struct TlsClientOptions {
    /// Trust this CA instead of the system's.
    pub ca_file: Option<PathBuf>,
    /// Show this certificate: its PEM file, and that of its private key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// The name that the server's certificate must have, where it is not the host that is connected to.
    pub server_name: Option<String>,
}

/// Makes TLS connections.
#[derive(Clone)]
pub struct TlsClient {
    connector: TlsConnector,
    server_name: Option<ServerName<'static>>,
}

impl std::fmt::Debug for TlsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TlsClient")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl TlsClient {
    /// Reads the files that `options` name.
    ///
    /// # Errors
    /// [`TlsError`].
    pub fn new(options: &TlsClientOptions) -> Result<Self, TlsError> {
        let roots = match &options.ca_file {
            Some(ca_file) => tls::read_roots(ca_file)?,
            None => system_roots()?,
        };
        let builder = ClientConfig::builder_with_provider(tls::provider())
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots);
        let config = match &options.certificate {
            Some((cert_file, key_file)) => {
                builder.with_client_auth_cert(tls::read_certificates(cert_file)?, tls::read_key(key_file)?)?
            }
            None => builder.with_no_client_auth(),
        };
        Ok(Self {
            connector: TlsConnector::from(Arc::new(config)),
            server_name: options.server_name.as_deref().map(server_name).transpose()?,
        })
    }
}

fn system_roots() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(TlsError::NoSystemCas);
    }
    Ok(roots)
}

fn server_name(name: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(name.to_owned()).or(Err(TlsError::BadServerName(name.to_owned())))
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The name is not known, nobody listens, or the network fails.
    #[error("cannot connect to {server}")]
    Tcp {
        /// Host and port.
        server: String,
        /// What the system said.
        source: io::Error,
    },
    /// No connection in time.
    #[error("{server} did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut {
        /// Host and port.
        server: String,
    },
    /// The handshake failed.
    #[error("TLS with {server} failed")]
    Tls {
        /// Host and port.
        server: String,
        /// What is wrong.
        source: io::Error,
    },
    /// The name cannot be checked.
    #[error(transparent)]
    ServerName(#[from] TlsError),
}

/// What a user can mend about TLS that a server or we refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsRefusal {
    /// The server's certificate is signed by nobody whom we trust.
    UntrustedServer,
    /// The server wants a certificate of ours. With TLS 1.3 this comes after the handshake, with the first read.
    CertificateWanted,
}

impl TlsRefusal {
    /// The refusal behind an error of a connection, wherever it came up.
    #[must_use]
    pub fn find(error: &(dyn std::error::Error + 'static)) -> Option<Self> {
        let mut errors = std::iter::successors(Some(error), |error| error.source());
        errors.find_map(|error| {
            let io = error.downcast_ref::<io::Error>()?;
            match io.get_ref()?.downcast_ref::<rustls::Error>()? {
                rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
                    Some(Self::UntrustedServer)
                }
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => {
                    Some(Self::CertificateWanted)
                }
                _ => None,
            }
        })
    }
}

/// A connection to a server.
#[derive(Debug)]
pub enum Connection {
    /// Without TLS.
    Plain(TcpStream),
    /// With TLS.
    Tls(Box<TlsStream<TcpStream>>),
}

impl Connection {
    /// Connects to `server`, a host and a port with a colon between them.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(server: &str, tls: Option<&TlsClient>) -> Result<Self, ConnectError> {
        let timed_out = || ConnectError::TimedOut {
            server: server.to_owned(),
        };
        let Ok(stream) = timeout(CONNECT_TIMEOUT, TcpStream::connect(server)).await else {
            return Err(timed_out());
        };
        let stream = stream.and_then(|stream| stream.set_nodelay(true).map(|()| stream));
        let stream = stream.map_err(|source| ConnectError::Tcp {
            server: server.to_owned(),
            source,
        })?;
        let Some(tls) = tls else {
            return Ok(Self::Plain(stream));
        };
        let name = match &tls.server_name {
            Some(name) => name.clone(),
            None => {
                let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
                server_name(host.trim_start_matches('[').trim_end_matches(']'))?
            }
        };
        let Ok(stream) = timeout(CONNECT_TIMEOUT, tls.connector.connect(name, stream)).await else {
            return Err(timed_out());
        };
        let stream = stream.map_err(|source| ConnectError::Tls {
            server: server.to_owned(),
            source,
        })?;
        Ok(Self::Tls(Box::new(stream)))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
