//! Listeners for connections: accepts them, makes TLS of them where it is set, and runs their sessions.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use nix::errno::Errno;
use settings::{ListenerSettings, Protocol};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument as _;

use crate::{
    certificates::Certificates,
    connections::{Connections, Place, Refused},
    error::BindError,
    inherited::Inherited,
    join::Joining,
    limits::{LimitsInForce, ListenerLimits},
    meters::Meters,
    relp,
    roster::Guest,
    session::{End, Surroundings},
    sink::{FrameSink, Peer},
    tcp,
    throttle::Throttle,
    tls::{self, HANDSHAKE_TIMEOUT},
};

/// Connections that the kernel completes before we accept them.
const BACKLOG: u32 = 1024;

/// How long accepting pauses when the process or the system has nothing left for another connection.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(500);

/// When the kernel begins to ask whether a silent peer is still there, and how often.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A listener for RELP or syslog over TCP, with or without TLS.
pub struct StreamListener {
    settings: ListenerSettings,
    listener: TcpListener,
    address: SocketAddr,
    certificates: Option<Certificates>,
    joining: Option<Joining>,
    limits: watch::Sender<ListenerLimits>,
}

impl fmt::Debug for StreamListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamListener")
            .field("name", &self.settings.name)
            .field("address", &self.address)
            .field("tls", &self.certificates.is_some())
            .finish_non_exhaustive()
    }
}

impl StreamListener {
    /// Listens, on the socket that was handed over for its address if there is one; nothing is accepted yet.
    ///
    /// # Errors
    /// [`BindError`]: the address, the TLS settings or the pattern for lines do not work.
    pub fn bind(settings: &ListenerSettings, inherited: &mut Inherited) -> Result<Self, BindError> {
        let certificates = settings.tls.as_ref().map(Certificates::open).transpose();
        let certificates = certificates.map_err(|source| BindError::Tls {
            listener: settings.name.clone(),
            source,
        })?;
        let joining = settings.multiline.as_ref().map(Joining::new).transpose();
        let joining = joining.map_err(|source| BindError::Multiline {
            listener: settings.name.clone(),
            source,
        })?;
        let listen = |address: SocketAddr| {
            let socket = if address.is_ipv4() {
                TcpSocket::new_v4()
            } else {
                TcpSocket::new_v6()
            }?;
            // Else the port stays taken for a minute after a restart.
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)
        };
        let listener = match inherited.stream(settings.address) {
            Some(socket) => TcpListener::from_std(socket),
            None => listen(settings.address),
        };
        let (address, listener) = listener
            .and_then(|listener| Ok((listener.local_addr()?, listener)))
            .map_err(|error| BindError::new(&settings.name, settings.address, error))?;
        Ok(Self {
            settings: settings.clone(),
            limits: watch::Sender::new(ListenerLimits::from(settings)),
            listener,
            address,
            certificates,
            joining,
        })
    }

    /// Where it listens; the port is the real one.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Where other limits are to be sent.
    #[must_use]
    pub fn limits(&self) -> watch::Sender<ListenerLimits> {
        self.limits.clone()
    }

    /// Accepts connections and hands their frames to one of `sinks`, always the same for an address, until `stop` is
    /// cancelled; then waits until all sessions have ended, which RELP sessions do when all they gave to the sink is
    /// settled.
    pub async fn run<K: FrameSink>(self, sinks: Vec<Arc<K>>, meters: Meters, stop: CancellationToken) {
        let connections = Arc::new(Connections::default());
        let mut limits = LimitsInForce::new(self.limits.subscribe());
        let tls = self.certificates.map(|certificates| {
            let (current, acceptor) = watch::channel(certificates.acceptor());
            let (listener, expiry) = (self.settings.name.clone(), meters.certificate_not_after.clone());
            let watching = tokio::spawn(certificates.watch(listener, expiry, current).in_current_span());
            (acceptor, AbortOnDropHandle::new(watching))
        });
        let around = |sink| {
            Arc::new(Surroundings {
                listener: self.settings.name.clone(),
                sink,
                limits: limits.clone(),
                joining: self.joining.clone(),
                stop: stop.clone(),
                meters: meters.clone(),
                throttle: Throttle::default(),
            })
        };
        let all: Vec<_> = sinks.into_iter().map(around).collect();
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(ended) = sessions.join_next() => report_panic(ended),
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, addr)) => {
                        let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
                        let Some(around) = all.get(spread(addr.ip(), all.len())) else { continue };
                        if let Some(place) = enter(&connections, &limits.get(), around, addr.ip()) {
                            let acceptor = tls.as_ref().map(|(acceptor, _)| acceptor.borrow().clone());
                            let session = session(stream, addr, place, self.settings.protocol,
                                acceptor, Arc::clone(around));
                            let span = tracing::debug_span!("session", listener = around.listener, peer_addr = %addr);
                            sessions.spawn(session.instrument(span));
                        }
                    }
                    Err(error) => {
                        if let Some(around) = all.first() {
                            pause_after(&error, around).await;
                        }
                    }
                },
            }
        }
        // Peers that try now are told by the system that nobody listens, and keep their frames.
        drop(self.listener);
        while let Some(ended) = sessions.join_next().await {
            report_panic(ended);
        }
    }
}

/// Which of `count` an address gets: the same in every process and after every start.
fn spread(addr: IpAddr, count: usize) -> usize {
    // FNV-1a, which tells addresses of one network apart.
    const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0100_0000_01b3;
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
    let hash = match addr {
        IpAddr::V4(addr) => addr.octets().iter().fold(BASIS, step),
        IpAddr::V6(addr) => addr.octets().iter().fold(BASIS, step),
    };
    let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
    usize::try_from((hash ^ (hash >> 32)) % count).unwrap_or(0)
}

fn report_panic(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "session ended by a bug");
    }
}

fn enter<K>(
    connections: &Arc<Connections>,
    limits: &ListenerLimits,
    around: &Surroundings<K>,
    peer: IpAddr,
) -> Option<Place> {
    let meters = &around.meters;
    match connections.enter(peer, limits) {
        Ok(place) => {
            meters.accepted.inc();
            Some(place)
        }
        Err(refused) => {
            match refused {
                Refused::Total => meters.refused_total.inc(),
                Refused::Peer => meters.refused_peer.inc(),
            };
            if let Some(held_back) = around.throttle.pass() {
                let setting = match refused {
                    Refused::Total => "connections_max",
                    Refused::Peer => "connections_per_peer_max",
                };
                let listener = &around.listener;
                tracing::warn!(listener, peer_addr = %peer, setting, held_back, "connection refused");
            }
            None
        }
    }
}

/// Errors of `accept` that belong to the connection pass at once. When nothing is left, trying again at once
/// would only burn the processor: the connections wait in the kernel meanwhile.
async fn pause_after<K>(error: &io::Error, around: &Surroundings<K>) {
    let errno = error.raw_os_error().map(Errno::from_raw);
    let is_of_the_connection = matches!(
        errno,
        Some(
            Errno::ECONNABORTED
                | Errno::ECONNRESET
                | Errno::EPERM
                | Errno::EPROTO
                | Errno::ENETDOWN
                | Errno::ENOPROTOOPT
                | Errno::EHOSTDOWN
                | Errno::ENONET
                | Errno::EHOSTUNREACH
                | Errno::EOPNOTSUPP
                | Errno::ENETUNREACH
                | Errno::EINTR
        )
    );
    if is_of_the_connection {
        tracing::debug!(%error, "accept failed for one connection");
        return;
    }
    around.meters.exhausted.inc();
    if let Some(held_back) = around.throttle.pass() {
        let listener = &around.listener;
        tracing::error!(listener, %error, held_back, "cannot accept connections, trying again");
    }
    tokio::select! {
        () = around.stop.cancelled() => {}
        () = sleep(EXHAUSTED_PAUSE) => {}
    }
}

async fn session<K: FrameSink>(
    mut stream: TcpStream,
    addr: SocketAddr,
    place: Place,
    protocol: Protocol,
    acceptor: Option<TlsAcceptor>,
    around: Arc<Surroundings<K>>,
) {
    let _counted = Counted::new(&around.meters);
    let _place = place;
    if let Err(error) = prepare(&stream) {
        tracing::debug!(%error, "socket option not set");
    }
    let mut peer = Peer {
        addr: addr.to_string(),
        tls_name: None,
    };
    let end = match acceptor {
        None => {
            let seat = around.meters.roster.enter(peer.clone());
            serve(&mut stream, protocol, seat.guest(), &around).await
        }
        Some(acceptor) => {
            let Some(mut stream) = handshake(&acceptor, stream, &peer, &around).await else {
                return;
            };
            let certificates = stream.get_ref().1.peer_certificates();
            peer.tls_name = certificates
                .and_then(|chain| chain.first())
                .and_then(tls::name_in);
            let seat = around.meters.roster.enter(peer.clone());
            serve(&mut stream, protocol, seat.guest(), &around).await
        }
    };
    report(&end, &peer, &around);
}

async fn serve<S, K>(stream: &mut S, protocol: Protocol, guest: &Guest, around: &Surroundings<K>) -> End
where
    S: AsyncRead + AsyncWrite + Unpin,
    K: FrameSink,
{
    match protocol {
        Protocol::Relp => relp::serve(stream, guest, around).await,
        Protocol::Tcp | Protocol::Udp => tcp::serve(stream, guest, around).await,
    }
}

async fn handshake<K>(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: &Peer,
    around: &Surroundings<K>,
) -> Option<TlsStream<TcpStream>> {
    let accepted = tokio::select! {
        () = around.stop.cancelled() => return None,
        accepted = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(stream)) => accepted,
    };
    let error = match accepted {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error,
        Err(_) => io::Error::new(io::ErrorKind::TimedOut, "TLS handshake took too long"),
    };
    around.meters.handshakes_failed.inc();
    if let Some(held_back) = around.throttle.pass() {
        let (listener, peer_addr) = (&around.listener, &peer.addr);
        tracing::warn!(listener, peer_addr, %error, held_back, "TLS handshake failed");
    }
    None
}

fn prepare(stream: &TcpStream) -> io::Result<()> {
    // Answers are collected by ourselves.
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE);
    SockRef::from(stream).set_tcp_keepalive(&keepalive)
}

fn report<K>(end: &End, peer: &Peer, around: &Surroundings<K>) {
    let (listener, peer_addr) = (&around.listener, &peer.addr);
    match end {
        End::Violation(violation) => {
            if let Some(held_back) = around.throttle.pass() {
                tracing::warn!(listener, peer_addr, %violation, held_back, "RELP session closed");
            }
        }
        End::AnswersNotRead | End::CustodyLost => {
            if let Some(held_back) = around.throttle.pass() {
                tracing::warn!(listener, peer_addr, reason = %end, held_back, "RELP session cut");
            }
        }
        End::Idle => {
            around.meters.idled.inc();
            tracing::debug!(listener, peer_addr, reason = %end, "session ended");
        }
        End::Failed(error) => tracing::debug!(listener, peer_addr, %error, "session ended"),
        End::Eof | End::Stopped | End::RelpClosed => {
            tracing::debug!(listener, peer_addr, reason = %end, "session ended");
        }
    }
}

/// In the gauge of open connections.
struct Counted<'a>(&'a Meters);

impl<'a> Counted<'a> {
    fn new(meters: &'a Meters) -> Self {
        meters.connections.inc();
        Self(meters)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

#[cfg(test)]
mod tests;
