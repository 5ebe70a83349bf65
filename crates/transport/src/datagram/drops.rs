//! What the kernel dropped because nobody read the socket in time.
//!
//! `SO_RXQ_OVFL` reports drops with the next datagram that is queued after them, and so not at all when none
//! follows. The table in `/proc` always knows.

use std::{fs, net::SocketAddr};

use nix::sys::stat::fstat;
use tokio::net::UdpSocket;

use crate::throttle::Throttle;

/// Drops of one socket.
#[derive(Debug)]
pub(super) struct Drops {
    listener: String,
    table: &'static str,
    inode: Option<u64>,
    /// The kernel's count when it was last reported. It begins again after `u32::MAX`.
    seen: u32,
    throttle: Throttle,
}

impl Drops {
    pub(super) fn new(socket: &UdpSocket, listener: &str) -> Self {
        let is_ipv4 = socket.local_addr().is_ok_and(|addr: SocketAddr| addr.is_ipv4());
        Self {
            listener: listener.to_owned(),
            table: if is_ipv4 {
                "/proc/net/udp"
            } else {
                "/proc/net/udp6"
            },
            inode: fstat(socket).ok().map(|stat| stat.st_ino),
            seen: 0,
            throttle: Throttle::default(),
        }
    }

    /// The kernel's count as it is now, where the system tells. The table is made from memory and costs some ten
    /// microseconds.
    pub(super) fn ask(&self) -> Option<u32> {
        let table = fs::read_to_string(self.table).ok()?;
        count_in(&table, self.inode?)
    }

    /// How many more `count` is than what was seen before.
    pub(super) fn since_last(&mut self, count: u32) -> u64 {
        let more = count.wrapping_sub(self.seen);
        // A datagram can report a count from before the table was asked.
        if more == 0 || more > u32::MAX / 2 {
            return 0;
        }
        self.seen = count;
        if let Some(held_back) = self.throttle.pass() {
            tracing::warn!(
                listener = self.listener,
                dropped = more,
                held_back,
                "the kernel dropped datagrams: they come faster than they are taken, or receive_buffer is too small"
            );
        }
        u64::from(more)
    }
}

/// Of the socket with this inode: the tenth column; drops are the thirteenth.
fn count_in(table: &str, inode: u64) -> Option<u32> {
    let inode = inode.to_string();
    table.lines().find_map(|line| {
        let mut columns = line.split_ascii_whitespace().skip(9);
        (columns.next() == Some(&*inode)).then(|| columns.nth(2)?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 2059: 00000000:0202 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12345 2 0000000000000000 17
 2060: 0100007F:0203 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 12346 2 0000000000000000 0
";

    #[test]
    fn the_table_tells_the_drops_of_a_socket() {
        assert_eq!(count_in(TABLE, 12_345), Some(17));
        assert_eq!(count_in(TABLE, 12_346), Some(0));
        assert_eq!(count_in(TABLE, 12_347), None);
    }

    #[tokio::test]
    async fn our_own_socket_is_in_the_table() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let drops = Drops::new(&socket, "udp");
        // A line can be missing from a reading during which other sockets come and go.
        assert!((0..100).any(|_| drops.ask() == Some(0)));
    }

    #[tokio::test]
    async fn counts_go_on_after_the_highest_and_never_back() {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let mut drops = Drops::new(&socket, "udp");
        assert_eq!(drops.since_last(10), 10);
        assert_eq!(drops.since_last(7), 0);
        assert_eq!(drops.since_last(10), 0);
        drops.seen = u32::MAX - 1;
        assert_eq!(drops.since_last(3), 5);
    }
}
