//! A sink for tests of sessions: keeps frames, and confirms when it is told to.

use std::{sync::Arc, time::Duration};

use event::FrameDefects;
use parking_lot::Mutex;
use settings::{LinePattern, ListenerSettings, MultilineSettings, Protocol};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{
    custody::{Settler, custody},
    join::Joining,
    limits::{LimitsInForce, ListenerLimits},
    meters::Meters,
    room::Room,
    session::Surroundings,
    sink::{FrameSink, FrameSource, Peer},
    throttle::Throttle,
};

/// Longer than any test should take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(120);

#[derive(Debug, Default)]
pub(crate) struct FakeSink {
    room: Room,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    frames: Vec<Taken>,
    /// One a read that brought frames.
    awaited: Vec<Settler>,
    confirms_at_once: bool,
    lost: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Taken {
    pub(crate) peer: Peer,
    pub(crate) bytes: Vec<u8>,
    pub(crate) defects: FrameDefects,
}

impl FakeSink {
    /// Confirms nothing until it is told to.
    pub(crate) fn holding() -> Arc<Self> {
        Arc::default()
    }

    pub(crate) fn confirming() -> Arc<Self> {
        let sink = Self::default();
        sink.state.lock().confirms_at_once = true;
        Arc::new(sink)
    }

    /// Waits until so many frames came, and gives all that came.
    pub(crate) async fn frames(&self, count: usize) -> Vec<Taken> {
        self.wait(|state| (state.frames.len() >= count).then(|| state.frames.clone()))
            .await
    }

    pub(crate) async fn bytes(&self, count: usize) -> Vec<Vec<u8>> {
        self.frames(count)
            .await
            .into_iter()
            .map(|taken| taken.bytes)
            .collect()
    }

    /// Waits until frames and losses add up.
    pub(crate) async fn frames_and_lost(&self, count: u64) -> (u64, u64) {
        self.wait(|state| {
            let frames = u64::try_from(state.frames.len()).unwrap();
            (frames + state.lost >= count).then_some((frames, state.lost))
        })
        .await
    }

    async fn wait<T>(&self, found: impl Fn(&State) -> Option<T>) -> T {
        let waiting = async {
            loop {
                let changed = self.changed.notified();
                if let Some(found) = found(&self.state.lock()) {
                    return found;
                }
                changed.await;
            }
        };
        timeout(DEADLINE, waiting).await.expect("the frames came")
    }

    pub(crate) fn frames_so_far(&self) -> usize {
        self.state.lock().frames.len()
    }

    /// Confirms all that came so far.
    pub(crate) fn confirm_all(&self) {
        let awaited = std::mem::take(&mut self.state.lock().awaited);
        awaited.into_iter().for_each(Settler::confirm);
    }

    /// Gives up all that came so far.
    pub(crate) fn lose_all(&self) {
        self.state.lock().awaited.clear();
    }
}

impl FrameSink for FakeSink {
    fn room(&self) -> &Room {
        &self.room
    }

    fn take(&self, frames: &mut dyn FrameSource) {
        let mut state = self.state.lock();
        let before = state.frames.len();
        while let Some((peer, frame)) = frames.next_frame() {
            state.frames.push(Taken {
                peer: peer.clone(),
                bytes: frame.bytes.to_vec(),
                defects: frame.defects,
            });
        }
        let (settler, ticket) = custody();
        frames.placed(&ticket);
        if state.confirms_at_once {
            settler.confirm();
        } else if state.frames.len() > before {
            state.awaited.push(settler);
        }
        drop(state);
        self.changed.notify_waiters();
    }

    fn lost(&self, datagrams: u64) {
        self.state.lock().lost += datagrams;
        self.changed.notify_waiters();
    }
}

/// Limits that stay as they are.
pub(crate) fn limits(idle_timeout: Option<Duration>) -> LimitsInForce {
    let settings = ListenerSettings {
        idle_timeout,
        ..listener(Protocol::Tcp)
    };
    LimitsInForce::new(watch::Sender::new(ListenerLimits::from(&settings)).subscribe())
}

pub(crate) fn around(sink: &Arc<FakeSink>) -> Surroundings<FakeSink> {
    Surroundings {
        listener: "test".to_owned(),
        sink: Arc::clone(sink),
        limits: limits(None),
        joining: None,
        stop: CancellationToken::new(),
        meters: Meters::default(),
        throttle: Throttle::default(),
    }
}

/// Lines that begin with a space belong to the one before.
pub(crate) fn joining(timeout: Duration) -> Option<Joining> {
    let settings = MultilineSettings {
        pattern: LinePattern::Continuation("^ ".to_owned()),
        timeout,
        bytes_max: 1000,
        lines_max: 100,
    };
    Some(Joining::new(&settings).expect("the pattern is good"))
}

pub(crate) fn peer() -> Peer {
    Peer {
        addr: "192.0.2.1:1000".to_owned(),
        tls_name: None,
    }
}

pub(crate) fn listener(protocol: Protocol) -> ListenerSettings {
    ListenerSettings {
        name: "test".to_owned(),
        protocol,
        address: ([127, 0, 0, 1], 0).into(),
        frame_bytes_max: 65_536,
        idle_timeout: None,
        connections_max: 1000,
        connections_per_peer_max: 1000,
        receive_buffer: 4 << 20,
        time_zone: "UTC".to_owned(),
        tls: None,
        multiline: None,
    }
}
