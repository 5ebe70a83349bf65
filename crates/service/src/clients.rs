//! Who is connected to the services of a process, told by those who accept connections.

use std::{collections::HashMap, fmt, sync::Arc};

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// A sender that is connected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// Its address and port.
    pub peer_addr: String,
    /// The listener that it is connected to.
    pub listener: String,
    /// What it speaks: `relp` or `tcp`.
    pub protocol: String,
    /// The name in its TLS certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Frames that came so far.
    pub frames: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// When the last one came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_at: Option<Timestamp>,
}

/// Lists at most so many clients, and says how many there are.
type List = Arc<dyn Fn(usize) -> (Vec<Client>, u64) + Send + Sync>;

/// Where services say how their clients are listed. Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub struct Clients(Arc<Mutex<HashMap<&'static str, List>>>);

impl Clients {
    /// Clients of `service` are listed by `list`, which gets how many at most, and adds how many there are.
    pub fn provide(
        &self,
        service: &'static str,
        list: impl Fn(usize) -> (Vec<Client>, u64) + Send + Sync + 'static,
    ) {
        self.0.lock().insert(service, Arc::new(list));
    }

    /// At most `max` clients of `service`, and how many there are.
    #[must_use]
    pub fn list(&self, service: &str, max: usize) -> (Vec<Client>, u64) {
        let list = self.0.lock().get(service).cloned();
        list.map(|list| list(max)).unwrap_or_default()
    }
}

impl fmt::Debug for Clients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services: Vec<_> = self.0.lock().keys().copied().collect();
        f.debug_tuple("Clients").field(&services).finish()
    }
}
