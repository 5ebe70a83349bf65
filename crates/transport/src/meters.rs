//! What one listener counts about its connections. The service that owns the listener exposes it.

use prometheus_client::metrics::{counter::Counter, gauge::Gauge};

use crate::roster::Roster;

/// Counters of one listener. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    /// Stream connections that are open.
    pub connections: Gauge,
    /// RELP sessions that are open: connections whose `open` was answered.
    pub relp_sessions: Gauge,
    /// Connections accepted so far.
    pub accepted: Counter,
    /// Connections closed at once because the listener had `connections_max`.
    pub refused_total: Counter,
    /// Connections closed at once because their address had `connections_per_peer_max`.
    pub refused_peer: Counter,
    /// Attempts to accept that failed because the process or the system had nothing left.
    pub exhausted: Counter,
    /// TLS handshakes that failed or took too long.
    pub handshakes_failed: Counter,
    /// When the certificate ends, in seconds since 1970; 0 without TLS.
    pub certificate_not_after: Gauge,
    /// Connections closed because nothing came for too long.
    pub idled: Counter,
    /// RELP sessions closed because their peer broke the protocol.
    pub violations: Counter,
    /// Bytes of frames beyond `frame_bytes_max` that were thrown away.
    pub discarded_bytes: Counter,
    /// Who is connected.
    pub roster: Roster,
}
