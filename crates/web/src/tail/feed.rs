//! What parser publishes, heard once for all viewers of this process.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use broker::{Backlog, Broker, Heard, Topology};
use bytes::Bytes;
use event::{Event, EventBatch};
use parking_lot::Mutex;
use tokio::sync::{broadcast, watch};
use tokio_util::task::AbortOnDropHandle;

/// What waits for us in the broker's client: a second of a fast pipeline.
const BACKLOG: Backlog = Backlog {
    messages: 256,
    bytes: 16 << 20,
};
/// Portions that wait for a slow viewer.
const PORTIONS: usize = 32;
/// Events of one portion: a viewer that waits must not hold a large batch in memory.
const PORTION_EVENTS: usize = 500;
/// Events that are looked at in one window; of more, whole batches are passed over. That is far more than anybody
/// reads, and keeps a full pipeline's processor for the pipeline.
const WINDOW: Duration = Duration::from_millis(250);
const WINDOW_EVENTS: usize = 5000;
/// The largest batch that is unpacked.
const BATCH_BYTES_MAX: usize = 64 << 20;

/// Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Feed(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    broker: Broker,
    topology: Topology,
    viewers_max: usize,
    viewers: Mutex<Viewers>,
    portions: broadcast::Sender<Arc<Portion>>,
    is_live: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Viewers {
    count: usize,
    /// Runs while there are any.
    listening: Option<AbortOnDropHandle<()>>,
}

/// Events that were published together.
#[derive(Debug)]
pub(crate) struct Portion {
    /// Events that were published before these since the feed began, about: what was missed unseen is estimated.
    pub(crate) before: u64,
    pub(crate) events: Vec<Event<'static>>,
}

/// A viewer's place.
#[derive(Debug)]
pub(crate) struct Seat {
    feed: Feed,
    pub(crate) portions: broadcast::Receiver<Arc<Portion>>,
    /// Whether the broker is heard at present.
    pub(crate) is_live: watch::Receiver<bool>,
}

impl Feed {
    pub(crate) fn new(broker: Broker, topology: Topology, viewers_max: usize) -> Self {
        Self(Arc::new(Inner {
            broker,
            topology,
            viewers_max,
            viewers: Mutex::default(),
            portions: broadcast::channel(PORTIONS).0,
            is_live: watch::channel(false).0,
        }))
    }

    /// A place; `None` when all are taken.
    pub(crate) fn sit(&self) -> Option<Seat> {
        let mut viewers = self.0.viewers.lock();
        if viewers.count >= self.0.viewers_max {
            return None;
        }
        viewers.count += 1;
        let portions = self.0.portions.subscribe();
        if viewers.listening.is_none() {
            let listener = Listener {
                broker: self.0.broker.clone(),
                topology: self.0.topology.clone(),
                portions: self.0.portions.clone(),
                is_live: self.0.is_live.clone(),
            };
            viewers.listening = Some(AbortOnDropHandle::new(tokio::spawn(listener.run())));
        }
        Some(Seat {
            feed: self.clone(),
            portions,
            is_live: self.0.is_live.subscribe(),
        })
    }

    pub(crate) fn viewers_max(&self) -> usize {
        self.0.viewers_max
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut viewers = self.feed.0.viewers.lock();
        viewers.count -= 1;
        if viewers.count == 0 {
            // The broker's queue goes with it.
            viewers.listening = None;
            self.feed.0.is_live.send_replace(false);
        }
    }
}

/// The task that listens.
struct Listener {
    broker: Broker,
    topology: Topology,
    portions: broadcast::Sender<Arc<Portion>>,
    is_live: watch::Sender<bool>,
}

impl Listener {
    async fn run(self) {
        let mut listening = self.broker.listen_to_parsed(&self.topology, BACKLOG);
        let mut live = listening.live();
        let mut tally = Tally::new(Instant::now());
        self.is_live.send_replace(*live.borrow_and_update());
        loop {
            // Cancel-safe, both.
            let heard = tokio::select! {
                heard = listening.next() => heard,
                Ok(()) = live.changed() => {
                    self.is_live.send_replace(*live.borrow_and_update());
                    continue;
                }
            };
            let Some(heard) = heard else { break };
            let is_enough = tally.is_enough(Instant::now());
            let body = heard.body.clone();
            // Unpacking a batch takes a millisecond, which others need not wait for.
            let unpacked = tokio::task::spawn_blocking(move || unpack(&body, is_enough)).await;
            let Ok(unpacked) = unpacked else { continue };
            for portion in tally.take(&heard, unpacked) {
                // Nobody may be there at this moment.
                drop(self.portions.send(Arc::new(portion)));
            }
        }
        self.is_live.send_replace(false);
    }
}

/// A batch's events, as far as they were looked at.
struct Unpacked {
    len: usize,
    events: Vec<Event<'static>>,
}

fn unpack(body: &Bytes, is_enough: bool) -> Unpacked {
    let mut scratch = Vec::new();
    let mut events = Vec::new();
    let Ok(mut batch) = EventBatch::decode(body, &mut scratch, BATCH_BYTES_MAX) else {
        return Unpacked { len: 0, events };
    };
    let len = batch.len();
    if !is_enough {
        // What breaks off is the shipper's trouble; here it is shown as far as it goes.
        while let Ok(Some(event)) = batch.next_event() {
            events.push(event.into_owned());
        }
    }
    Unpacked { len, events }
}

/// Counts what was published, so that viewers know what they did not see.
struct Tally {
    /// Events so far.
    total: u64,
    /// Batches so far, to estimate those that were missed.
    batches: u64,
    window: Instant,
    in_window: usize,
}

impl Tally {
    fn new(now: Instant) -> Self {
        Self {
            total: 0,
            batches: 0,
            window: now,
            in_window: 0,
        }
    }

    fn is_enough(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.window) >= WINDOW {
            self.window = now;
            self.in_window = 0;
        }
        self.in_window >= WINDOW_EVENTS
    }

    fn take(&mut self, heard: &Heard, unpacked: Unpacked) -> Vec<Portion> {
        let mean = self
            .total
            .checked_div(self.batches)
            .unwrap_or(unpacked.len as u64)
            .max(1);
        self.total += heard.missed * mean;
        self.batches += heard.missed + 1;
        let mut before = self.total;
        self.total += unpacked.len as u64;
        self.in_window += unpacked.events.len();
        let mut portions = Vec::new();
        if unpacked.events.is_empty() && unpacked.len > 0 {
            // Passed over: viewers are told at once, for nothing may come behind it.
            let (before, events) = (self.total, Vec::new());
            portions.push(Portion { before, events });
        }
        let mut events = unpacked.events.into_iter().peekable();
        while events.peek().is_some() {
            let part: Vec<_> = events.by_ref().take(PORTION_EVENTS).collect();
            let len = part.len() as u64;
            portions.push(Portion { before, events: part });
            before += len;
        }
        portions
    }
}

#[cfg(test)]
mod tests {
    use event::{BatchId, Compression, EventBatchBuilder, EventId, Timestamp};

    use super::*;

    fn heard(events: u32, missed: u64) -> Heard {
        let id = BatchId::mint();
        let mut builder = EventBatchBuilder::new(id, id, "tcp", "default");
        for position in 0..events {
            let at = Timestamp::from_micros(1);
            let id = EventId::derive(id, position, at);
            builder.push(&Event::received(id, position, at, "192.0.2.1:1", "tcp"));
        }
        Heard {
            id: None,
            routing_key: "default".to_owned(),
            body: builder.finish(Compression::Lz4).into(),
            missed,
        }
    }

    fn take(tally: &mut Tally, heard: &Heard, is_enough: bool) -> Vec<(u64, usize)> {
        let unpacked = unpack(&heard.body, is_enough);
        let portions = tally.take(heard, unpacked);
        portions
            .iter()
            .map(|portion| (portion.before, portion.events.len()))
            .collect()
    }

    #[test]
    fn everything_is_counted_seen_or_not() {
        let mut tally = Tally::new(Instant::now());
        assert_eq!(take(&mut tally, &heard(10, 0), false), [(0, 10)]);
        assert_eq!(take(&mut tally, &heard(20, 0), true), [(30, 0)], "passed over");
        // Two batches of 15 on average were missed.
        assert_eq!(take(&mut tally, &heard(5, 2), false), [(60, 5)]);
        assert_eq!(
            take(&mut tally, &heard(1200, 0), false),
            [(65, 500), (565, 500), (1065, 200)]
        );
        let broken = Heard {
            body: Bytes::from_static(b"no batch"),
            ..heard(1, 0)
        };
        assert_eq!(take(&mut tally, &broken, false), []);
    }

    #[test]
    fn a_window_has_an_end() {
        let start = Instant::now();
        let mut tally = Tally::new(start);
        let events = u32::try_from(WINDOW_EVENTS).unwrap();
        take(&mut tally, &heard(events, 0), false);
        assert!(tally.is_enough(start));
        assert!(!tally.is_enough(start + WINDOW));
    }
}
