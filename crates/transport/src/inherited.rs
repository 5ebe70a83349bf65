//! Sockets that whoever started this process bound for it: `LISTEN_FDS` of systemd's socket activation.
//!
//! A socket belongs to the listener of its address. One that belongs to none would be read by nobody, and is a mistake.

use std::net::{SocketAddr, TcpListener, UdpSocket};

use listenfd::ListenFd;

use crate::error::InheritError;

/// Sockets that were handed over and that no listener has taken yet.
#[derive(Debug, Default)]
pub struct Inherited {
    streams: Vec<(SocketAddr, TcpListener)>,
    datagrams: Vec<(SocketAddr, UdpSocket)>,
}

impl Inherited {
    /// Nothing: every listener binds for itself.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// What the environment says was handed over to this process. Only the first call finds it.
    ///
    /// # Errors
    /// A descriptor that is no socket of TCP or UDP.
    pub fn from_env() -> Result<Self, InheritError> {
        let mut handed = ListenFd::from_env();
        let mut inherited = Self::default();
        for index in 0..handed.len() {
            let failed = |source| InheritError::Foreign { index, source };
            if let Ok(Some(socket)) = handed.take_tcp_listener(index) {
                socket.set_nonblocking(true).map_err(failed)?;
                inherited
                    .streams
                    .push((socket.local_addr().map_err(failed)?, socket));
            } else if let Some(socket) = handed.take_udp_socket(index).map_err(failed)? {
                socket.set_nonblocking(true).map_err(failed)?;
                inherited
                    .datagrams
                    .push((socket.local_addr().map_err(failed)?, socket));
            }
        }
        Ok(inherited)
    }

    /// The stream socket that listens on `address`.
    pub(crate) fn stream(&mut self, address: SocketAddr) -> Option<TcpListener> {
        take(&mut self.streams, address)
    }

    /// The datagram socket that is bound to `address`.
    pub(crate) fn datagram(&mut self, address: SocketAddr) -> Option<UdpSocket> {
        take(&mut self.datagrams, address)
    }

    /// Whether all have been taken.
    ///
    /// # Errors
    /// The first that was not: no listener has its address.
    pub fn expect_taken(&self) -> Result<(), InheritError> {
        let streams = self.streams.iter().map(|(address, _)| ("TCP", address));
        let datagrams = self.datagrams.iter().map(|(address, _)| ("UDP", address));
        match streams.chain(datagrams).next() {
            None => Ok(()),
            Some((kind, address)) => Err(InheritError::Unwanted {
                kind,
                address: *address,
            }),
        }
    }
}

fn take<T>(sockets: &mut Vec<(SocketAddr, T)>, wanted: SocketAddr) -> Option<T> {
    // A socket of IPv6 that takes everything takes IPv4 as well, unless the system was told otherwise.
    let is_wanted = |address: &SocketAddr| {
        *address == wanted
            || (address.port() == wanted.port()
                && address.ip().is_unspecified()
                && wanted.ip().is_unspecified())
    };
    let index = sockets.iter().position(|(address, _)| is_wanted(address))?;
    Some(sockets.swap_remove(index).1)
}
