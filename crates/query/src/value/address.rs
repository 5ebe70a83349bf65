//! IP addresses and networks.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};

/// An address, or a network in CIDR notation (RFC 4632). IPv4 inside IPv6 counts as IPv4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    addr: IpAddr,
    prefix: u8,
}

impl Network {
    /// The first address.
    #[must_use]
    pub const fn addr(&self) -> IpAddr {
        self.addr
    }

    /// Leading bits that count.
    #[must_use]
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether `addr` is inside.
    #[must_use]
    pub fn contains(&self, addr: IpAddr) -> bool {
        match (self.addr, addr.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(addr)) => {
                let shift = 32 - u32::from(self.prefix);
                let differs = u32::from(network) ^ u32::from(addr);
                differs.checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(addr)) => {
                let shift = 128 - u32::from(self.prefix);
                let differs = u128::from(network) ^ u128::from(addr);
                differs.checked_shr(shift).unwrap_or(0) == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }

    /// Whether a `peer_addr` is inside: an address with or without a port. The path of a socket or file is not.
    #[must_use]
    pub fn contains_peer(&self, peer_addr: &str) -> bool {
        let addr = peer_addr
            .parse::<SocketAddr>()
            .map(|addr| addr.ip())
            .or_else(|_| peer_addr.parse());
        addr.is_ok_and(|addr| self.contains(addr))
    }
}

impl Network {
    /// `10.0.0.1`, `10.0.0.0/8`, `2001:db8::/32`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (addr, prefix) = text
            .split_once('/')
            .map_or((text, None), |(addr, prefix)| (addr, Some(prefix)));
        let addr: IpAddr = addr.parse().ok()?;
        let bits = |addr: IpAddr| if addr.is_ipv4() { 32 } else { 128 };
        let Some(prefix) = prefix else {
            let addr = addr.to_canonical();
            let prefix = bits(addr);
            return Some(Self { addr, prefix });
        };
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|prefix| *prefix <= bits(addr));
        let prefix = prefix.filter(|_| digits)?;
        Some(Self { addr, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_whole = self.prefix == if self.addr.is_ipv4() { 32 } else { 128 };
        if is_whole {
            return self.addr.fmt(f);
        }
        write!(f, "{}/{}", self.addr, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(network: &str, inside: &[&str], outside: &[&str]) {
        let network = Network::parse(network).unwrap();
        assert_eq!(Network::parse(&network.to_string()), Some(network));
        for peer in inside {
            assert!(network.contains_peer(peer), "{peer} is not in {network}");
        }
        for peer in outside {
            assert!(!network.contains_peer(peer), "{peer} is in {network}");
        }
    }

    #[test]
    fn networks_hold_their_peers() {
        check(
            "10.2.0.0/16",
            &["10.2.9.9:514", "10.2.0.1"],
            &["10.3.0.1:514", "/dev/log"],
        );
        check(
            "10.0.0.1",
            &["10.0.0.1:1", "[::ffff:10.0.0.1]:1"],
            &["10.0.0.2:1"],
        );
        check("0.0.0.0/0", &["255.1.1.1:1"], &["[::1]:5"]);
        check("2001:db8::/32", &["[2001:db8::1]:5"], &["[2001:db9::1]:5"]);
        check("::/0", &["[::1]:5"], &["10.0.0.1:1"]);
    }

    #[test]
    fn other_text_is_none() {
        for text in ["", "10.0.0", "10.0.0.1/33", "10.0.0.1/", "10.0.0.1/+8", "x/8"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
