//! Listeners and clients: TCP, UDP, TLS, RELP sessions. Does not know the broker and no syslog grammar.
//!
//! A listener ([`StreamListener`], [`DatagramListener`]) cuts what its peers send into frames and hands them, one
//! read at a time, to a [`FrameSink`]. The sink says whether there is [`Room`] for more and gives a [`Ticket`] for
//! what it took; RELP sessions answer their peer when the ticket is confirmed, and not before.

mod certificates;
mod client;
mod connections;
mod custody;
mod datagram;
mod error;
#[cfg(test)]
mod fake;
mod idle;
mod inbound;
mod inherited;
mod join;
mod limits;
mod meters;
mod relp;
mod room;
mod roster;
mod session;
mod sink;
mod stream;
mod tcp;
mod throttle;
mod tls;

pub use crate::client::{
    ConnectError, Connection, RelpClient, RelpClientError, TlsClient, TlsClientOptions, TlsRefusal,
};
pub use crate::custody::{Custody, Settler, Ticket, custody};
pub use crate::datagram::DatagramListener;
pub use crate::error::{BindError, InheritError, TlsError};
pub use crate::inherited::Inherited;
pub use crate::limits::ListenerLimits;
pub use crate::meters::Meters;
pub use crate::room::Room;
pub use crate::roster::{Guest, Roster};
pub use crate::sink::{FrameSink, FrameSource, Peer};
pub use crate::stream::StreamListener;
pub use crate::throttle::Throttle;
