//! Who is connected to the listeners, for the heartbeat.

use jiff::Timestamp;
use service::Client;
use settings::Protocol;
use transport::{Guest, Roster};

use crate::server::Listening;

/// The connections of all listeners.
#[derive(Debug, Default)]
pub(crate) struct Connected(Vec<(Listening, Roster)>);

impl Connected {
    pub(crate) fn add(&mut self, listening: &Listening, roster: Roster) {
        self.0.push((listening.clone(), roster));
    }

    /// At most `max` of them, and how many there are.
    pub(crate) fn list(&self, max: usize) -> (Vec<Client>, u64) {
        let (mut clients, mut total) = (Vec::new(), 0);
        for (listening, roster) in &self.0 {
            let (guests, open) = roster.list(max - clients.len());
            total += open as u64;
            clients.extend(guests.iter().map(|guest| client(listening, guest)));
        }
        (clients, total)
    }
}

fn client(listening: &Listening, guest: &Guest) -> Client {
    Client {
        peer_addr: guest.peer.addr.clone(),
        listener: listening.name.clone(),
        protocol: match listening.protocol {
            Protocol::Relp => "relp".to_owned(),
            Protocol::Tcp | Protocol::Udp => "tcp".to_owned(),
        },
        tls_name: guest.peer.tls_name.clone(),
        since: Timestamp::try_from(guest.since).unwrap_or(Timestamp::UNIX_EPOCH),
        frames: guest.frames(),
        bytes: guest.bytes(),
        last_at: guest
            .last_at_millis()
            .and_then(|millis| Timestamp::from_millisecond(millis).ok()),
    }
}
