//! Listeners for datagrams: one frame each, read many at a time.
//!
//! Nobody can hold back who sends datagrams. While there is no room the socket is not read: its receive buffer,
//! which is as large as the settings ask, takes what it can, and the kernel counts what it drops.

mod drops;

use std::{
    cell::RefCell,
    collections::HashMap,
    io::{self, IoSliceMut},
    net::SocketAddr,
    os::fd::AsRawFd,
    sync::Arc,
    time::Duration,
};

use event::FrameDefects;
use framing::Frame;
use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{
        ControlMessageOwned, MsgFlags, MultiHeaders, MultiResults, SockaddrStorage, recvmmsg, setsockopt,
        sockopt,
    },
};
use settings::ListenerSettings;
use socket2::{Domain, Socket, Type};
use tokio::{
    io::Interest,
    net::UdpSocket,
    sync::watch,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use self::drops::Drops;
use crate::{
    custody::Ticket,
    error::BindError,
    inherited::Inherited,
    limits::{LimitsInForce, ListenerLimits},
    meters::Meters,
    sink::{FrameSink, FrameSource, Peer},
};

/// Datagrams of one system call at most.
const BATCH: usize = 64;

/// No datagram is longer. The pages of a place that short datagrams do not touch take no memory.
const DATAGRAM_BYTES_MAX: usize = 65_536;

/// Senders whose names are kept ready.
const PEERS_MAX: usize = 4096;

/// How often the kernel is asked for drops that no later datagram has reported.
const DROPS_PERIOD: Duration = Duration::from_secs(2);

/// System calls at a stop for what the kernel has received already: enough for any receive buffer, and a bound
/// for a sender that never pauses.
const LAST_READS_MAX: usize = 4096;

/// How long a stop waits for more. Whatever had arrived is known to the scheduler before any timer ends.
const LAST_READ_PATIENCE: Duration = Duration::from_millis(20);

thread_local! {
    static BUFFER: RefCell<Vec<u8>> = RefCell::new(vec![0; BATCH * DATAGRAM_BYTES_MAX]);
}

/// A listener for syslog over UDP.
#[derive(Debug)]
pub struct DatagramListener {
    settings: ListenerSettings,
    socket: UdpSocket,
    address: SocketAddr,
    limits: watch::Sender<ListenerLimits>,
}

impl DatagramListener {
    /// Opens the socket, or takes the one that was handed over for its address. Datagrams are received from now on, and
    /// wait in the kernel for [`run`](Self::run).
    ///
    /// # Errors
    /// [`BindError`]: the address does not work.
    pub fn bind(settings: &ListenerSettings, inherited: &mut Inherited) -> Result<Self, BindError> {
        let inherited = inherited.datagram(settings.address).map(Socket::from);
        let open = |address: SocketAddr| {
            let is_bound = inherited.is_some();
            let socket = match inherited {
                Some(socket) => socket,
                None => Socket::new(Domain::for_address(address), Type::DGRAM, None)?,
            };
            socket.set_nonblocking(true)?;
            let granted = grow_receive_buffer(&socket, settings.receive_buffer)?;
            if granted < settings.receive_buffer {
                tracing::warn!(
                    listener = settings.name,
                    asked = settings.receive_buffer,
                    granted,
                    "receive buffer is smaller than receive_buffer asks: raise the sysctl net.core.rmem_max"
                );
            }
            setsockopt(&socket, sockopt::RxqOvfl, &1)?;
            if !is_bound {
                socket.bind(&address.into())?;
            }
            let socket = UdpSocket::from_std(socket.into())?;
            let address = socket.local_addr()?;
            Ok((socket, address))
        };
        let (socket, address) = open(settings.address)
            .map_err(|error| BindError::new(&settings.name, settings.address, error))?;
        Ok(Self {
            settings: settings.clone(),
            limits: watch::Sender::new(ListenerLimits::from(settings)),
            socket,
            address,
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

    /// Hands datagrams to `sink` until `stop` is cancelled, and then those that the kernel has already.
    pub async fn run<K: FrameSink>(self, sink: Arc<K>, meters: Meters, stop: CancellationToken) {
        let room = sink.room();
        let mut reader = Reader {
            limits: LimitsInForce::new(self.limits.subscribe()),
            sink: &*sink,
            peers: HashMap::new(),
            drops: Drops::new(&self.socket, &self.settings.name),
            meters: &meters,
        };
        let mut ticks = interval(DROPS_PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let readable = async {
                room.wait().await;
                self.socket.readable().await
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                _ = ticks.tick() => reader.ask_for_drops(),
                readable = readable => {
                    let read = readable.and_then(|()| reader.read(&self.socket));
                    if let Err(error) = read {
                        // An answer to something we never sent, or nothing there after all: the next read tells.
                        tracing::debug!(listener = self.settings.name, %error, "receive failed");
                    }
                }
            }
        }
        for _ in 0..LAST_READS_MAX {
            let readable = timeout(LAST_READ_PATIENCE, self.socket.readable()).await;
            if !room.is_open() || readable.is_err() {
                break;
            }
            if let Err(error) = reader.read(&self.socket) {
                tracing::debug!(listener = self.settings.name, %error, "last receive failed");
            }
        }
        reader.ask_for_drops();
    }
}

/// Gives what the kernel granted; it counts its own overhead on top, which the caller did not ask for.
fn grow_receive_buffer(socket: &Socket, bytes: usize) -> io::Result<usize> {
    // With the right to do so, beyond the system's limit.
    if setsockopt(socket, sockopt::RcvBufForce, &bytes).is_err() {
        socket.set_recv_buffer_size(bytes)?;
    }
    Ok(socket.recv_buffer_size()? / 2)
}

struct Reader<'a, K> {
    limits: LimitsInForce,
    sink: &'a K,
    peers: HashMap<SocketAddr, Peer>,
    drops: Drops,
    meters: &'a Meters,
}

impl<K: FrameSink> Reader<'_, K> {
    /// Reads what is there, up to a batch.
    fn read(&mut self, socket: &UdpSocket) -> io::Result<()> {
        socket.try_io(Interest::READABLE, || {
            BUFFER.with_borrow_mut(|buffer| self.read_into(socket, buffer))
        })
    }

    fn read_into(&mut self, socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
        let mut places: Vec<_> = buffer
            .chunks_exact_mut(DATAGRAM_BYTES_MAX)
            .map(|place| [IoSliceMut::new(place)])
            .collect();
        // New ones for each call: the call overwrites the lengths in them, and nothing resets them.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(cmsg_space!(u32)));
        let flags = MsgFlags::MSG_DONTWAIT;
        let results = recvmmsg(socket.as_raw_fd(), &mut headers, places.iter_mut(), flags, None);
        if self.peers.len() > PEERS_MAX {
            self.peers.clear();
        }
        let mut datagrams = Datagrams {
            results: results.map_err(|errno| match errno {
                Errno::EAGAIN => io::ErrorKind::WouldBlock.into(),
                errno => io::Error::from(errno),
            })?,
            frame_bytes_max: self.limits.get().frame_bytes_max,
            peers: &mut self.peers,
            dropped: None,
            discarded: 0,
        };
        self.sink.take(&mut datagrams);
        let Datagrams {
            dropped, discarded, ..
        } = datagrams;
        self.meters.discarded_bytes.inc_by(discarded);
        if let Some(dropped) = dropped {
            self.report_drops(dropped);
        }
        Ok(())
    }

    fn ask_for_drops(&mut self) {
        if let Some(dropped) = self.drops.ask() {
            self.report_drops(dropped);
        }
    }

    fn report_drops(&mut self, dropped: u32) {
        match self.drops.since_last(dropped) {
            0 => {}
            more => self.sink.lost(more),
        }
    }
}

/// The frames of one read.
struct Datagrams<'a> {
    results: MultiResults<'a, SockaddrStorage>,
    frame_bytes_max: usize,
    peers: &'a mut HashMap<SocketAddr, Peer>,
    /// What the kernel last said of its drops.
    dropped: Option<u32>,
    discarded: u64,
}

impl FrameSource for Datagrams<'_> {
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)> {
        loop {
            let message = self.results.next()?;
            let control = message.cmsgs().into_iter().flatten();
            for message in control {
                if let ControlMessageOwned::RxqOvfl(dropped) = message {
                    self.dropped = Some(dropped);
                }
            }
            let bytes = message.iovs().next().unwrap_or_default();
            let Some((mut frame, cut)) = framing::datagram(bytes, self.frame_bytes_max) else {
                continue;
            };
            if message.flags.contains(MsgFlags::MSG_TRUNC) {
                frame.defects |= FrameDefects::TRUNCATED;
            }
            self.discarded += u64::try_from(cut).unwrap_or(u64::MAX);
            let Some(addr) = message.address.as_ref().and_then(socket_addr) else {
                continue;
            };
            let peer = self.peers.entry(addr).or_insert_with(|| Peer {
                addr: addr.to_string(),
                tls_name: None,
            });
            return Some((peer, frame));
        }
    }

    /// Datagrams have no answers.
    fn placed(&mut self, _: &Ticket) {}
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address
        .as_sockaddr_in()
        .map(|address| SocketAddr::V4((*address).into()));
    let addr = v4.or_else(|| {
        address
            .as_sockaddr_in6()
            .map(|address| SocketAddr::V6((*address).into()))
    })?;
    Some(SocketAddr::new(addr.ip().to_canonical(), addr.port()))
}

#[cfg(test)]
mod tests;
