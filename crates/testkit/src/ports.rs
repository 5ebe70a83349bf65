//! Free loopback ports for programs that cannot be told "any port".
//!
//! Ports are taken from below the range that the kernel gives to outgoing connections and to binds of
//! port 0, so that a server which is down for a moment finds its port free when it comes back.

use std::collections::HashSet;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::sync::LazyLock;

use parking_lot::Mutex;

const LOWEST: u16 = 10_000;
/// Linux's default lower end of the range for outgoing connections.
const USUAL_EPHEMERAL_START: u16 = 32_768;
/// A range too small to choose from is not worth avoiding collisions in.
const RANGE_MIN: u16 = 2_000;

static HANDED_OUT: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);

/// A port on 127.0.0.1 that is free for TCP and UDP now and that this process has not handed out before.
///
/// # Panics
/// If no port can be found, which means that the machine has no free ports at all.
#[must_use]
pub fn free_port() -> u16 {
    let end = ephemeral_start().clamp(LOWEST + RANGE_MIN, u16::MAX);
    let span = u128::from(end - LOWEST);
    for _ in 0..10_000 {
        // A random start keeps test processes that run side by side apart.
        let offset = u16::try_from(uuid::Uuid::new_v4().as_u128() % span).expect("below span");
        let port = LOWEST + offset;
        if is_free(port) && HANDED_OUT.lock().insert(port) {
            return port;
        }
    }
    crate::server::or_fail(Err(anyhow::anyhow!("no free port on 127.0.0.1")))
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

fn ephemeral_start() -> u16 {
    std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse().ok())
        .unwrap_or(USUAL_EPHEMERAL_START)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hands_each_port_out_once_and_free() {
        let ports: HashSet<u16> = (0..50).map(|_| free_port()).collect();
        assert_eq!(ports.len(), 50);
        for port in ports {
            assert!(port >= LOWEST);
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).unwrap();
        }
    }
}
