//! Why a listener or a client cannot be set up.

use std::{io, net::SocketAddr, path::PathBuf};

/// Why a listener does not start. The text names the listener and the setting to change.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another process, or another listener, has the port.
    #[error(
        "listener \"{listener}\": {address} is in use by another socket; stop what listens there, or set another \
         `address` for this listener in [[syslog_server.listener]] (or --set \
         syslog_server.listener.{listener}.address=IP:PORT)"
    )]
    InUse {
        /// The listener's name.
        listener: String,
        /// Its address.
        address: SocketAddr,
    },
    /// The system does not let us have the address.
    #[error("listener \"{listener}\": cannot listen on {address} (`address` in [[syslog_server.listener]])")]
    Bind {
        /// The listener's name.
        listener: String,
        /// Its address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Its TLS settings do not work.
    #[error("listener \"{listener}\": [syslog_server.listener.tls] does not work")]
    Tls {
        /// The listener's name.
        listener: String,
        /// What is wrong.
        source: TlsError,
    },
    /// Its lines cannot be joined.
    #[error("listener \"{listener}\": [syslog_server.listener.multiline] does not work")]
    Multiline {
        /// The listener's name.
        listener: String,
        /// What is wrong.
        source: framing::BadPattern,
    },
}

impl BindError {
    pub(crate) fn new(listener: &str, address: SocketAddr, source: io::Error) -> Self {
        let listener = listener.to_owned();
        if source.kind() == io::ErrorKind::AddrInUse {
            Self::InUse { listener, address }
        } else {
            Self::Bind {
                listener,
                address,
                source,
            }
        }
    }
}

/// Why sockets that were handed over to this process (`LISTEN_FDS`) cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// Not a socket that listens for TCP, nor one for UDP.
    #[error(
        "socket {index} of those handed over (LISTEN_FDS) is neither a listening TCP socket nor an UDP socket"
    )]
    Foreign {
        /// Which, from 0.
        index: usize,
        /// What the system said.
        source: io::Error,
    },
    /// Nobody would read it.
    #[error(
        "a {kind} socket on {address} was handed over (LISTEN_FDS), and no listener of that kind has this `address`: \
         add one as [[syslog_server.listener]], or take the socket out of what starts this process"
    )]
    Unwanted {
        /// TCP or UDP.
        kind: &'static str,
        /// Where it is bound.
        address: SocketAddr,
    },
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or holds no PEM.
    #[error("cannot read {what} from {}", path.display())]
    File {
        /// What should be in it.
        what: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::pki_types::pem::Error,
    },
    /// A readable file without a certificate.
    #[error("no certificate in {}", .0.display())]
    NoCertificate(PathBuf),
    /// A certificate that cannot be trusted as a CA.
    #[error("cannot use {} as CA", path.display())]
    BadCa {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        source: rustls::Error,
    },
    /// The parts do not fit together: a key of another certificate, for example.
    #[error("certificate and key do not work")]
    Config(#[from] rustls::Error),
    /// The CA file cannot check clients.
    #[error("client certificates cannot be checked")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// The system has no CA certificates where they are looked for.
    #[error("the system has no CA certificates; name a CA file")]
    NoSystemCas,
    /// A name that no certificate can have.
    #[error("\"{0}\" is no server name")]
    BadServerName(String),
}
