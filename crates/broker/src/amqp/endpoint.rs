//! Where RabbitMQ is and how one connection to it is made. What is special about it: a connection that does not
//! answer, or that the broker has blocked, can still be ended at once, by shutting its socket down.

use std::{
    collections::VecDeque,
    fmt, io,
    net::{Shutdown, SocketAddr, TcpStream},
    os::fd::AsFd,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU16, AtomicU64, Ordering},
    },
    time::Duration,
};

use lapin::{
    AsyncTcpStream, Channel, Connection, ConnectionProperties, ErrorKind,
    tcp::{RustlsConnector, RustlsConnectorConfig},
    uri::{AMQPScheme, AMQPUri},
};
use parking_lot::Mutex;
use rustls::{
    CertificateError,
    pki_types::{CertificateDer, pem::PemObject},
};
use settings::AmqpSettings;
use tokio::{
    net::lookup_host,
    time::{Instant, timeout, timeout_at},
};

use crate::{error::ConnectError, name::QueueName};

/// How long a close may take before the socket is shut down.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The largest AMQP frame, where the address does not ask for another. lapin takes memory for 64 of them with each
/// connection: 8 MiB at RabbitMQ's own 128 KiB, most of what an idle service held. A packed batch of 128 KiB fits.
const FRAME_BYTES: u32 = 64 * 1024;

/// Everything that a connection needs.
#[derive(Clone)]
pub(crate) struct Endpoint {
    /// One for each host of the address, in its order.
    nodes: Vec<AMQPUri>,
    tls: Option<RustlsConnector>,
    connect_timeout: Duration,
    /// Hosts, ports and vhost, for people: the address without the password.
    pub(crate) address: Arc<str>,
}

/// Why one node could not be used.
enum Failed {
    Refused(String),
    TimedOut,
}

/// No node took the connection; whether all of them only said nothing.
struct Silent(bool);

/// Addresses with the host that each is of, in the order in which they are tried.
type Candidates<'a> = VecDeque<(&'a AMQPUri, SocketAddr)>;

/// One connection, ended when this is dropped.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) connection: Connection,
    /// The node it goes to.
    pub(crate) node: SocketAddr,
    socket: Socket,
    /// Channels that may still be opened.
    channels_left: AtomicU16,
    /// RabbitMQ's `max_message_size`, once it has told us; 0 before.
    body_bytes_max: AtomicU64,
}

/// A second handle to the connection's socket. lapin cannot end a connection that the broker blocks (it writes
/// nothing then, not even the close) or whose handshake gets no answer; shutting the socket down ends both.
#[derive(Debug, Clone, Default)]
struct Socket(Arc<Mutex<Option<TcpStream>>>);

impl Endpoint {
    pub(crate) fn new(settings: &AmqpSettings) -> Result<Self, ConnectError> {
        let seconds = u16::try_from(settings.heartbeat.as_secs())
            .unwrap_or(u16::MAX)
            .max(1);
        let urls = one_host_each(settings.url.expose());
        let nodes: Vec<_> = urls
            .iter()
            .map(|url| node(url, seconds))
            .collect::<Result<_, _>>()?;
        let first = nodes.first().expect("an address has a host");
        let tls = match first.scheme {
            AMQPScheme::AMQP => None,
            AMQPScheme::AMQPS => Some(connector(settings.tls_ca_file.as_deref())?),
        };
        let hosts: Vec<_> = nodes
            .iter()
            .map(|node| format!("{}:{}", node.authority.host, node.authority.port))
            .collect();
        let address = format!("RabbitMQ at {}, vhost {:?}", hosts.join(" or "), first.vhost);
        Ok(Self {
            nodes,
            tls,
            connect_timeout: settings.connect_timeout,
            address: address.into(),
        })
    }

    /// The same with AMQP frames of `frame_bytes` at most.
    pub(crate) fn with_frames_of(&self, frame_bytes: u32) -> Self {
        let mut endpoint = self.clone();
        for node in &mut endpoint.nodes {
            let wanted = node.query.frame_max.unwrap_or(frame_bytes);
            node.query.frame_max = Some(wanted.min(frame_bytes));
        }
        endpoint
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connect_timeout
    }

    /// Makes a connection that RabbitMQ shows as `name`, to the first node that takes it: hosts in the order of the
    /// settings, and the addresses of a name in the order in which the system gives them.
    pub(crate) async fn open(&self, name: &str) -> Result<Session, ConnectError> {
        let deadline = Instant::now() + self.connect_timeout;
        let (mut problems, mut have_all_timed_out) = (Vec::new(), true);
        let mut candidates = Candidates::new();
        for node in &self.nodes {
            let (host, port) = (node.authority.host.as_str(), node.authority.port);
            match timeout_at(deadline, lookup_host((host, port))).await {
                Ok(Ok(addrs)) => candidates.extend(addrs.map(|addr| (node, addr))),
                Ok(Err(error)) => {
                    have_all_timed_out = false;
                    problems.push(self.of_node(node, &error.to_string()));
                }
                Err(_elapsed) => problems.push(self.of_node(node, "its name was not resolved in time")),
            }
        }
        match self.open_first(candidates, name, deadline, &mut problems).await {
            Ok(session) => return Ok(session),
            Err(Silent(are_all_silent)) => have_all_timed_out &= are_all_silent,
        }
        problems.dedup();
        let address = self.address.to_string();
        Err(if have_all_timed_out {
            ConnectError::TimedOut {
                address,
                after: self.connect_timeout,
            }
        } else {
            ConnectError::Refused {
                address,
                problem: problems.join("; "),
            }
        })
    }

    /// Tries one after the other, and adds to `problems` what was wrong with each.
    async fn open_first(
        &self,
        mut candidates: Candidates<'_>,
        name: &str,
        deadline: Instant,
        problems: &mut Vec<String>,
    ) -> Result<Session, Silent> {
        let mut are_all_silent = true;
        while let Some((node, addr)) = candidates.pop_front() {
            // One that says nothing leaves time for those after it.
            let shares = u32::try_from(candidates.len() + 1).unwrap_or(u32::MAX);
            let patience = deadline.saturating_duration_since(Instant::now()) / shares;
            match self.open_at(node, addr, name, patience).await {
                Ok(session) => return Ok(session),
                Err(Failed::Refused(problem)) => {
                    are_all_silent = false;
                    problems.push(self.of_node(node, &problem));
                }
                Err(Failed::TimedOut) => problems.push(self.of_node(node, "no answer in time")),
            }
        }
        Err(Silent(are_all_silent))
    }

    /// With one host the address names it already.
    fn of_node(&self, node: &AMQPUri, problem: &str) -> String {
        match self.nodes.len() {
            1 => problem.to_owned(),
            _ => format!("{}:{}: {problem}", node.authority.host, node.authority.port),
        }
    }

    async fn open_at(
        &self,
        node: &AMQPUri,
        addr: SocketAddr,
        name: &str,
        patience: Duration,
    ) -> Result<Session, Failed> {
        let runtime =
            lapin::runtime::default_runtime().map_err(|error| Failed::Refused(error.to_string()))?;
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let socket = Socket::default();
        let tls = self.tls.clone();
        let slot = socket.clone();
        let connecting = Connection::connector(
            node.clone(),
            runtime,
            async move |uri: AMQPUri, runtime| {
                let stream = AsyncTcpStream::connect(&runtime, addr).await?;
                if let AsyncTcpStream::Plain(plain) = &stream {
                    *slot.0.lock() = Some(TcpStream::from(plain.get_ref().as_fd().try_clone_to_owned()?));
                }
                match &tls {
                    None => Ok(stream),
                    Some(connector) => Ok(stream.into_rustls(connector, &uri.authority.host).await?),
                }
            },
            properties,
        );
        match timeout(patience, connecting).await {
            Ok(Ok(connection)) => Ok(Session {
                channels_left: AtomicU16::new(connection.configuration().channel_max()),
                connection,
                node: addr,
                socket,
                body_bytes_max: AtomicU64::new(0),
            }),
            Ok(Err(error)) => Err(Failed::Refused(format!(
                "{}{}",
                describe(&error),
                self.hint(&error)
            ))),
            Err(_elapsed) => {
                socket.shut_down();
                Err(Failed::TimedOut)
            }
        }
    }
}

impl Endpoint {
    /// What the settings have to do with a connection that could not be made.
    fn hint(&self, error: &lapin::Error) -> &'static str {
        const TLS_PORT: &str = " (a TLS port? then broker.url begins with amqps://)";
        let io = match error.kind() {
            ErrorKind::IOError(io) => io,
            ErrorKind::ParsingError(_) if self.tls.is_none() => return TLS_PORT,
            _ => return "",
        };
        if self.tls.is_none() {
            // To a client that does not begin with TLS, a TLS port says what is no AMQP, or nothing.
            return match io.kind() {
                io::ErrorKind::ConnectionAborted
                | io::ErrorKind::ConnectionReset
                | io::ErrorKind::UnexpectedEof => TLS_PORT,
                _ => "",
            };
        }
        match io.get_ref().and_then(|error| error.downcast_ref()) {
            Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
                " (broker.tls_ca_file names the CA to trust)"
            }
            Some(rustls::Error::InvalidMessage(_)) => {
                " (a port without TLS? then broker.url begins with amqp://)"
            }
            _ => "",
        }
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Endpoint").field(&self.address).finish()
    }
}

impl Session {
    /// Says goodbye, and does not wait long for an answer.
    pub(crate) async fn close(&self) {
        if self.connection.status().blocked() {
            return self.socket.shut_down();
        }
        let goodbye = self.connection.close(200, "closed".into());
        if let Ok(Err(error)) = timeout(CLOSE_TIMEOUT, goodbye).await {
            tracing::debug!(%error, "connection was closed already");
        }
        self.socket.shut_down();
    }
}

impl Session {
    /// A new channel. Each has a number of its own, and lapin answers for a channel with the error that ended an earlier
    /// one with its number. So none is used twice: a connection that has none left is ended, for a new one.
    pub(crate) async fn open_channel(&self) -> lapin::Result<Channel> {
        let left = &self.channels_left;
        let taken = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        if taken.is_err() {
            self.socket.shut_down();
            return Err(ErrorKind::ChannelsLimitReached.into());
        }
        self.connection.create_channel().await
    }

    /// Whether [`Session::open_channel`] can still do it.
    pub(crate) fn is_usable(&self) -> bool {
        self.connection.status().connected() && self.channels_left.load(Ordering::Relaxed) > 0
    }

    /// The largest body that the broker takes, if that is known.
    pub(crate) fn body_bytes_max(&self) -> Option<u64> {
        Some(self.body_bytes_max.load(Ordering::Relaxed)).filter(|max| *max > 0)
    }

    pub(crate) fn learn_body_bytes_max(&self, max: u64) {
        self.body_bytes_max.store(max, Ordering::Relaxed);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.socket.shut_down();
    }
}

impl Socket {
    fn shut_down(&self) {
        if let Some(socket) = self.0.lock().take()
            && let Err(error) = socket.shutdown(Shutdown::Both)
        {
            tracing::trace!(%error, "socket was closed already");
        }
    }
}

/// What went wrong, without the layers around it.
pub(crate) fn describe(error: &lapin::Error) -> String {
    match error.kind() {
        ErrorKind::ProtocolError(error) => error.get_message().to_string(),
        ErrorKind::IOError(error) => error.to_string(),
        ErrorKind::ParsingError(_) => "what it answers is no AMQP".to_owned(),
        _ => error.to_string(),
    }
}

/// Whether RabbitMQ says that `queue` is not there. It answers `NOT_FOUND` too while a queue that is there has no leader
/// or takes too long (`rabbit_amqqueue:absent/2`), and an error that ends the connection may be about another queue.
pub(crate) fn has_no_queue(error: &lapin::Error, queue: &QueueName) -> bool {
    let ErrorKind::ProtocolError(error) = error.kind() else {
        return false;
    };
    let text = error.get_message().as_str();
    text.starts_with(&format!("NOT_FOUND - no queue '{queue}' in vhost "))
}

/// The address once for each of its hosts, which may stand in it with commas between them.
fn one_host_each(url: &str) -> Vec<String> {
    let Some((scheme, rest)) = url.split_once("://") else {
        return vec![url.to_owned()];
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let hosts_begin = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, hosts) = authority.split_at(hosts_begin);
    let each = hosts
        .split(',')
        .map(|host| format!("{scheme}://{user}{host}{tail}"));
    each.collect()
}

/// Who we are at the broker, and in which vhost.
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) password: String,
    pub(crate) vhost: String,
}

/// As the address says.
pub(crate) fn user(settings: &AmqpSettings) -> Result<User, ConnectError> {
    let urls = one_host_each(settings.url.expose());
    let uri = node(urls.first().expect("an address has a host"), 1)?;
    Ok(User {
        name: uri.authority.userinfo.username,
        password: uri.authority.userinfo.password,
        vhost: uri.vhost,
    })
}

/// An address with one host.
fn node(url: &str, heartbeat_seconds: u16) -> Result<AMQPUri, ConnectError> {
    let mut uri: AMQPUri = url.parse().map_err(|problem: String| {
        // Some of the parser's messages repeat the address, with the password in it.
        let problem = if problem.contains(url) {
            "it has no host".to_owned()
        } else {
            problem
        };
        ConnectError::Url { problem }
    })?;
    if let Some(host) = ipv6_host(url) {
        // The parser takes `[::1]` for no host at all, and puts `localhost` there.
        host.clone_into(&mut uri.authority.host);
    }
    uri.query.heartbeat = Some(heartbeat_seconds);
    uri.query.frame_max.get_or_insert(FRAME_BYTES);
    Ok(uri)
}

/// The host of an address that gives it as `[…]`.
fn ipv6_host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    host.strip_prefix('[')?.split_once(']').map(|(host, _)| host)
}

/// Trusts the CA of the settings, or else those of the system.
fn connector(ca_file: Option<&Path>) -> Result<RustlsConnector, ConnectError> {
    let Some(path) = ca_file else {
        return RustlsConnectorConfig::new_with_native_certs()
            .and_then(RustlsConnectorConfig::connector_with_no_client_auth)
            .map_err(|source| ConnectError::CaFile {
                path: "(the system's certificates)".into(),
                source,
            });
    };
    let unusable = |source| ConnectError::CaFile {
        path: path.to_owned(),
        source,
    };
    let pem = std::fs::read(path).map_err(unusable)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&pem)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(std::io::Error::other(error)))?;
    if certificates.is_empty() {
        return Err(unusable(std::io::Error::other("there is no certificate in it")));
    }
    RustlsConnectorConfig::default()
        .with_parsable_certificates(certificates)
        .connector_with_no_client_auth()
        .map_err(unusable)
}

#[cfg(test)]
mod tests {
    use settings::Secret;

    use super::*;

    fn endpoint(url: &str) -> Result<Endpoint, ConnectError> {
        Endpoint::new(&AmqpSettings {
            url: Secret::new(url.into()),
            tls_ca_file: None,
            management_url: None,
            connect_timeout: Duration::from_secs(1),
            heartbeat: Duration::from_secs(10),
            reconnect_backoff_max: Duration::from_secs(1),
            confirm_timeout: Duration::from_secs(30),
            queue_bytes_max: 1,
            delivery_limit: 1,
        })
    }

    #[test]
    fn passwords_are_not_shown() {
        let endpoint = endpoint("amqp://user:hunter2@rabbit.example:5673/logs").unwrap();
        let shown = format!("{endpoint:?}");
        assert!(
            shown.contains("rabbit.example:5673") && shown.contains("logs"),
            "{shown}"
        );
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    #[test]
    fn refused_addresses_do_not_show_their_password() {
        for url in [
            "amqp:user:hunter2",
            "amqp://user:hunter2@host:port/",
            "http://user:hunter2@host/",
            "hunter2",
        ] {
            let refused = endpoint(url).unwrap_err().to_string();
            assert!(!refused.contains("hunter2"), "{refused}");
            assert!(refused.contains("broker.url"), "{refused}");
        }
    }

    #[test]
    fn several_hosts_share_the_rest_of_the_address() {
        let url = "amqp://me:p%40ss@r1:5673,[::1],r3/logs?frame_max=4096";
        let endpoint = endpoint(url).unwrap();
        let nodes: Vec<_> = endpoint
            .nodes
            .iter()
            .map(|node| (node.authority.host.as_str(), node.authority.port))
            .collect();
        assert_eq!(nodes, [("r1", 5673), ("::1", 5672), ("r3", 5672)]);
        for node in &endpoint.nodes {
            assert_eq!(node.authority.userinfo.password, "p@ss");
            assert_eq!((node.vhost.as_str(), node.query.frame_max), ("logs", Some(4096)));
        }
        assert_eq!(
            &*endpoint.address,
            "RabbitMQ at r1:5673 or ::1:5672 or r3:5672, vhost \"logs\""
        );
    }

    #[tokio::test]
    async fn every_host_is_tried_and_told() {
        let refusing = || {
            let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            socket.local_addr().unwrap().port()
        };
        let (first, second) = (refusing(), refusing());
        let endpoint = endpoint(&format!("amqp://127.0.0.1:{first},127.0.0.1:{second}")).unwrap();
        let told = endpoint.open("test").await.unwrap_err().to_string();
        assert!(
            told.contains(&format!("127.0.0.1:{first}: ")) && told.contains(&format!("127.0.0.1:{second}: ")),
            "{told}"
        );
    }

    #[tokio::test]
    async fn every_address_of_a_name_is_tried() {
        let bind = || std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let refusing = bind().local_addr().unwrap();
        let silent = bind();
        silent.set_nonblocking(true).unwrap();
        let endpoint = endpoint("amqp://rabbits.example/logs").unwrap();
        let node = &endpoint.nodes[0];
        let candidates = [refusing, silent.local_addr().unwrap()].map(|addr| (node, addr));
        let (deadline, mut problems) = (Instant::now() + Duration::from_secs(1), Vec::new());
        let tried = endpoint.open_first(candidates.into(), "test", deadline, &mut problems);
        assert!(matches!(tried.await, Err(Silent(false))));
        assert!(
            problems.len() == 2 && problems.last().is_some_and(|last| last == "no answer in time"),
            "{problems:?}"
        );
        silent.accept().expect("was connected to after the first refused");
    }

    #[test]
    fn an_ipv6_address_is_a_host() {
        assert_eq!(ipv6_host("amqp://a:b@[::1]:5672/%2f"), Some("::1"));
        assert_eq!(ipv6_host("amqp://[fe80::1]"), Some("fe80::1"));
        assert_eq!(ipv6_host("amqp://a:[b]@host/[c]"), None);
        assert!(
            endpoint("amqp://[::1]:5672/v")
                .unwrap()
                .address
                .contains("::1:5672")
        );
    }
}
