//! Collects the frames of one listener into batches, whatever connection they come from.

use std::{collections::VecDeque, fmt, time::Duration};

use event::Timestamp;
use framing::Frame;
use parking_lot::Mutex;
use settings::IntakeSettings;
use tokio::{sync::Notify, time::Instant};
use transport::{FrameSink, FrameSource, Peer, Room};

use crate::{batch::Batch, metrics::ListenerMetrics};

/// What a frame takes in a batch besides its bytes, about.
const FRAME_OVERHEAD_BYTES: usize = 16;

/// Memory that is kept for the next batch.
const SPARE_BYTES_MAX: usize = 1 << 20;

/// So many batches of a listener await the broker side by side before the next one waits for its age or its size. With one
/// alone, a RELP sender whose window is in it stands still until the confirm.
const SIDE_BY_SIDE: usize = 4;

/// Frames for which another batch beside those is worth its cost, which the broker has per batch.
const SIDE_BY_SIDE_FRAMES: u32 = 128;

/// When a batch is full, and how many may be on their way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) bytes_max: usize,
    pub(crate) frames_max: u32,
    pub(crate) age_max: Duration,
    pub(crate) unconfirmed_max: usize,
}

impl From<&IntakeSettings> for Limits {
    fn from(settings: &IntakeSettings) -> Self {
        Self {
            bytes_max: settings.batch_bytes_max,
            frames_max: settings.batch_frames_max,
            age_max: settings.batch_age_max,
            unconfirmed_max: settings.unconfirmed_batches_max,
        }
    }
}

/// The batches of one listener up to the publisher, who takes them with [`next`](Self::next).
pub(crate) struct Batcher {
    listener: String,
    limits: Limits,
    metrics: ListenerMetrics,
    room: Room,
    state: Mutex<State>,
    /// Tells the publisher to look at the state again.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    open: Option<Batch>,
    closed: VecDeque<Batch>,
    /// Closed and not settled yet.
    unconfirmed: usize,
    is_ready: bool,
    /// How large the last batch was: the next one will be like it.
    last_bytes: usize,
    /// Memory of a batch that was packed, for the next one.
    spare: Option<Vec<u8>>,
}

impl fmt::Debug for Batcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batcher")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}

/// What the publisher is to do.
#[derive(Debug)]
pub(crate) enum Next {
    /// Publish this.
    Publish(Batch),
    /// Look again when something changes, and at this time.
    Wait(Option<Instant>),
}

impl Batcher {
    pub(crate) fn new(listener: &str, limits: Limits, metrics: ListenerMetrics) -> Self {
        let batcher = Self {
            listener: listener.to_owned(),
            limits,
            metrics,
            room: Room::new(),
            state: Mutex::new(State {
                open: None,
                closed: VecDeque::new(),
                unconfirmed: 0,
                is_ready: false,
                last_bytes: 0,
                spare: None,
            }),
            changed: Notify::new(),
        };
        batcher.room.close();
        batcher
    }

    pub(crate) fn listener(&self) -> &str {
        &self.listener
    }

    pub(crate) const fn metrics(&self) -> &ListenerMetrics {
        &self.metrics
    }

    /// Until [`next`](Self::next) may say something new. Cancel-safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// The batch to publish now. An open one is due when it is old enough, when nothing else awaits the broker,
    /// or when no more frames come.
    pub(crate) fn next(&self, no_more_frames: bool) -> Next {
        let mut state = self.state.lock();
        if let Some(open) = &state.open {
            let due = open.opened_at + self.limits.age_max;
            let is_broker_idle = state.unconfirmed == 0 && state.is_ready;
            if no_more_frames || is_broker_idle || Instant::now() >= due {
                self.close(&mut state);
            }
        }
        match state.closed.pop_front() {
            Some(batch) => Next::Publish(batch),
            None => Next::Wait(
                state
                    .open
                    .as_ref()
                    .map(|open| open.opened_at + self.limits.age_max),
            ),
        }
    }

    /// Memory that a packed batch was in. That of an uncommonly large one is not kept.
    pub(crate) fn give_back(&self, buffer: Vec<u8>) {
        if buffer.capacity() <= SPARE_BYTES_MAX {
            self.state.lock().spare = Some(buffer);
        }
    }

    /// A batch that was published is settled, one way or the other.
    pub(crate) fn settled(&self) {
        let mut state = self.state.lock();
        state.unconfirmed -= 1;
        self.metrics.unconfirmed.dec();
        self.update_room(&state);
    }

    /// Whether somebody takes batches at present.
    pub(crate) fn set_ready(&self, is_ready: bool) {
        let mut state = self.state.lock();
        state.is_ready = is_ready;
        self.update_room(&state);
    }

    /// Batches and frames that are not settled.
    pub(crate) fn unsettled(&self) -> usize {
        let state = self.state.lock();
        state.unconfirmed + usize::from(state.open.is_some())
    }

    fn close(&self, state: &mut State) {
        let Some(batch) = state.open.take() else { return };
        state.last_bytes = batch.builder.size();
        self.metrics.closed(batch.builder.frames(), batch.builder.size());
        state.closed.push_back(batch);
        state.unconfirmed += 1;
        self.metrics.unconfirmed.inc();
        self.update_room(state);
    }

    fn update_room(&self, state: &State) {
        if state.is_ready && state.unconfirmed < self.limits.unconfirmed_max {
            self.room.open();
        } else {
            self.room.close();
        }
    }

    /// Adds a frame; true when the batch is full with it.
    fn push(&self, state: &mut State, received_at: Timestamp, peer: &Peer, frame: &Frame<'_>) -> bool {
        let open = state.open.get_or_insert_with(|| {
            let age = self.metrics.opened(received_at);
            let buffer = state.spare.take();
            let buffer = buffer.unwrap_or_else(|| Vec::with_capacity(state.last_bytes));
            Batch::open(&self.listener, buffer, age)
        });
        let builder = &mut open.builder;
        builder.push(
            received_at,
            &peer.addr,
            peer.tls_name.as_deref(),
            frame.defects,
            frame.bytes,
        );
        // Full when another frame like this one would be too much.
        builder.size() + frame.bytes.len() + FRAME_OVERHEAD_BYTES > self.limits.bytes_max
            || builder.frames() >= self.limits.frames_max
    }
}

impl FrameSink for Batcher {
    fn room(&self) -> &Room {
        &self.room
    }

    fn take(&self, frames: &mut dyn FrameSource) {
        let received_at = Timestamp::now();
        let (mut count, mut bytes, mut truncated) = (0, 0, 0);
        let mut state = self.state.lock();
        let was_open = state.open.is_some();
        let closed_before = state.closed.len();
        while let Some((peer, frame)) = frames.next_frame() {
            count += 1;
            bytes += frame.bytes.len();
            truncated += u64::from(frame.defects.contains(event::FrameDefects::TRUNCATED));
            let is_full = self.push(&mut state, received_at, peer, &frame);
            if is_full && let Some(open) = &state.open {
                frames.placed(&open.ticket);
                self.close(&mut state);
            }
        }
        if let Some(open) = &state.open {
            frames.placed(&open.ticket);
            let is_worth_it = open.builder.frames() >= SIDE_BY_SIDE_FRAMES;
            if is_worth_it && state.is_ready && state.unconfirmed < SIDE_BY_SIDE {
                self.close(&mut state);
            }
        }
        let is_new = state.open.is_some() != was_open || state.closed.len() > closed_before;
        drop(state);
        if is_new {
            self.changed.notify_one();
        }
        if count > 0 {
            self.metrics.took(count, bytes, truncated);
        }
    }

    fn lost(&self, datagrams: u64) {
        self.metrics.lost(datagrams);
    }
}

#[cfg(test)]
mod tests;
