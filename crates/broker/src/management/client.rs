//! One GET of JSON: bounded in time and size, over TLS where the address says so.

use std::{fmt, path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{
    Request,
    client::conn::http1,
    header::{ACCEPT, AUTHORIZATION, HOST, HeaderValue},
};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use settings::AmqpSettings;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;
use tokio_util::task::AbortOnDropHandle;

use super::{ManagementError, PATIENCE_MAX};
use crate::{amqp::User, error::ConnectError};

/// Sixty-six queues with all columns are some 60 kB.
const BODY_BYTES_MAX: usize = 1 << 20;
/// The head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;
/// Characters of a reason that somebody gives for saying no.
const REASON_CHARS_MAX: usize = 120;

/// Where to ask, and as whom.
#[derive(Clone)]
pub(super) struct Client(Arc<Inner>);

struct Inner {
    hosts: Vec<Host>,
    tls: Option<TlsConnector>,
    /// What stands before `/api`.
    prefix: String,
    authorization: HeaderValue,
    timeout: Duration,
    address: String,
}

struct Host {
    name: String,
    port: u16,
    /// As it stands in a request.
    authority: HeaderValue,
}

/// Both kinds of stream.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Client {
    pub(super) fn new(url: &str, user: &User, settings: &AmqpSettings) -> Result<Self, ConnectError> {
        let wrong = |problem: &str| ConnectError::ManagementUrl {
            problem: problem.to_owned(),
        };
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if tail.contains(['?', '#']) {
            return Err(wrong("nothing may follow its path"));
        }
        let (own, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (name, password) = match own.split_once(':') {
            Some((name, password)) => (decoded(name), decoded(password)),
            None => (user.name.clone(), user.password.clone()),
        };
        let credentials = STANDARD.encode(format!("{name}:{password}"));
        let mut authorization =
            HeaderValue::from_str(&format!("Basic {credentials}")).expect("base64 is plain text");
        authorization.set_sensitive(true);
        let is_tls = scheme == "https";
        let hosts: Vec<_> = hosts
            .split(',')
            .map(|host| Host::new(host, if is_tls { 443 } else { 80 }))
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("it needs a host, and perhaps a port"))?;
        let shown: Vec<_> = hosts
            .iter()
            .map(|host| format!("{}:{}", host.name, host.port))
            .collect();
        Ok(Self(Arc::new(Inner {
            hosts,
            tls: is_tls
                .then(|| connector(settings.tls_ca_file.as_deref()))
                .transpose()?,
            prefix: tail.trim_end_matches('/').to_owned(),
            authorization,
            timeout: settings.connect_timeout.min(PATIENCE_MAX),
            address: format!("the management API at {}", shown.join(" or ")),
        })))
    }

    pub(super) fn address(&self) -> &str {
        &self.0.address
    }

    pub(super) fn garbage(&self, problem: &str) -> ManagementError {
        ManagementError::Garbage {
            address: self.0.address.clone(),
            problem: problem.to_owned(),
        }
    }

    /// The JSON at `path`, from the first host that answers.
    pub(super) async fn get(&self, path: &str) -> Result<Value, ManagementError> {
        let after = self.0.timeout;
        let mut problems = Vec::new();
        let asked = timeout(after, async {
            let shares = u32::try_from(self.0.hosts.len()).unwrap_or(u32::MAX);
            for host in &self.0.hosts {
                match timeout(after / shares, self.connect(host)).await {
                    Ok(Ok(stream)) => return self.ask(host, stream, path).await,
                    Ok(Err(problem)) => problems.push(problem),
                    Err(_elapsed) => problems.push(format!("{}: no answer in time", host.name)),
                }
            }
            problems.dedup();
            Err(ManagementError::Away {
                address: self.0.address.clone(),
                problem: problems.join("; "),
            })
        });
        asked.await.unwrap_or_else(|_elapsed| {
            Err(ManagementError::TimedOut {
                address: self.0.address.clone(),
                after,
            })
        })
    }

    async fn connect(&self, host: &Host) -> Result<Box<dyn Stream>, String> {
        let told = |error: std::io::Error| error.to_string();
        let stream = TcpStream::connect((host.name.as_str(), host.port))
            .await
            .map_err(told)?;
        let Some(tls) = &self.0.tls else {
            return Ok(Box::new(stream));
        };
        let name = ServerName::try_from(host.name.clone()).map_err(|error| error.to_string())?;
        Ok(Box::new(tls.connect(name, stream).await.map_err(told)?))
    }

    async fn ask(&self, host: &Host, stream: Box<dyn Stream>, path: &str) -> Result<Value, ManagementError> {
        let away = |error: hyper::Error| ManagementError::Away {
            address: self.0.address.clone(),
            problem: error.to_string(),
        };
        let (mut requests, connection) = http1::Builder::new()
            .max_buf_size(HEAD_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(away)?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let request = Request::get(format!("{}{path}", self.0.prefix))
            .header(HOST, host.authority.clone())
            .header(AUTHORIZATION, self.0.authorization.clone())
            .header(ACCEPT, "application/json")
            .body(Empty::<Bytes>::new())
            .map_err(|error| self.garbage(&error.to_string()))?;
        let answer = requests.send_request(request).await.map_err(|error| {
            if error.is_parse() {
                self.garbage("no HTTP")
            } else {
                away(error)
            }
        })?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), BODY_BYTES_MAX).collect().await;
        let body = body.map_err(|error| self.garbage(&error.to_string()))?.to_bytes();
        if !status.is_success() {
            return Err(ManagementError::Refused {
                address: self.0.address.clone(),
                status: status.as_u16(),
                reason: reason(&body),
            });
        }
        serde_json::from_slice(&body).map_err(|_not_json| self.garbage("no JSON"))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.0.address).finish()
    }
}

impl Host {
    /// `host`, `host:port`, `[::1]:port`.
    fn new(text: &str, default: u16) -> Option<Self> {
        let (name, rest) = match text.strip_prefix('[') {
            Some(text) => text.split_once(']')?,
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => port.parse().ok()?,
            None => default,
        };
        (!name.is_empty()).then_some(())?;
        Some(Self {
            name: name.to_owned(),
            port,
            authority: HeaderValue::from_str(text).ok()?,
        })
    }
}

fn decoded(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// What RabbitMQ says beside a status that is no success.
fn reason(body: &[u8]) -> String {
    let answer: Option<Value> = serde_json::from_slice(body).ok();
    let reason = answer.as_ref().and_then(|answer| answer.get("reason")?.as_str());
    reason.map_or_else(String::new, |reason| {
        let short: String = reason
            .chars()
            .filter(|c| !c.is_control())
            .take(REASON_CHARS_MAX)
            .collect();
        format!(": {short}")
    })
}

/// Trusts the CA of the settings, or else those of the system.
fn connector(ca_file: Option<&Path>) -> Result<TlsConnector, ConnectError> {
    let unusable = |source| ConnectError::CaFile {
        path: ca_file
            .unwrap_or(Path::new("(the system's certificates)"))
            .to_owned(),
        source,
    };
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        Some(path) => {
            let pem = std::fs::read(path).map_err(unusable)?;
            let certificates = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
            let certificates = certificates.map_err(|error| unusable(std::io::Error::other(error)))?;
            roots.add_parsable_certificates(certificates);
        }
    }
    if roots.is_empty() {
        return Err(unusable(std::io::Error::other("there is no certificate in it")));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(std::io::Error::other(error)))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests;
