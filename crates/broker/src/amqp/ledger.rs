//! Which publishes succeeded. lapin says of each publish whether the broker acknowledged it, and hands a returned
//! message to *some* publish: to the one whose ack it processes next, which with `multiple` acks is any of them
//! (lapin 4.12, `acknowledgement.rs`). So an ack alone proves nothing; who was returned is found by its identity.
//!
//! What makes an exact answer possible: the broker sends the return of a message before its ack, and lapin keeps
//! returns in a line of which every completed publish takes one. A publish that completed with nothing in hand
//! found the line empty, so everything returned before was taken by publishes that completed before it. When all
//! of those have been looked at, and none holds this message, it was not returned.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use uuid::Uuid;

/// What tells messages apart. Two publishes that share it go to the same queues, or to none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: Option<Uuid>,
    pub(crate) exchange: &'static str,
    pub(crate) routing_key: String,
}

/// How the broker answered a publish, as lapin tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It acknowledged it. The returned message may be another one.
    Ack { returned: Option<Identity> },
    /// It refused it. The returned message may be another one.
    Nack { returned: Option<Identity> },
    /// The channel ended first.
    Lost(String),
}

/// How a publish ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    Confirmed,
    Returned,
    Nacked,
    Lost(String),
}

/// The publishes of one channel that have no ending yet. `F` resolves with the broker's reply, `T` is whatever
/// belongs to the publish.
#[derive(Debug)]
pub(crate) struct Ledger<F, T> {
    /// In the order of publishing.
    outstanding: VecDeque<Entry<F, T>>,
    /// Acknowledged, with the returned message of another publish in hand: its own may still be in the line.
    undecided: Vec<Undecided<T>>,
    /// Returned messages that were seen and whose publishes are not ended.
    returned: Vec<Identity>,
    next_number: u64,
    /// The channel is over: from now on completed publishes do not take from the line.
    is_broken: bool,
}

#[derive(Debug)]
struct Entry<F, T> {
    number: u64,
    identity: Identity,
    reply: F,
    item: T,
}

#[derive(Debug)]
struct Replied<T> {
    number: u64,
    identity: Identity,
    reply: Reply,
    item: T,
}

#[derive(Debug)]
struct Undecided<T> {
    identity: Identity,
    /// A publish with this number or a later one was made after this one was acknowledged.
    since: u64,
    item: T,
}

impl<F: Future<Output = Reply> + Unpin, T> Ledger<F, T> {
    pub(crate) fn new() -> Self {
        Self {
            outstanding: VecDeque::new(),
            undecided: Vec::new(),
            returned: Vec::new(),
            next_number: 0,
            is_broken: false,
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.outstanding.is_empty() && self.undecided.is_empty()
    }

    /// Takes up a publish that was sent.
    pub(crate) fn add(&mut self, identity: Identity, reply: F, item: T) {
        let number = self.next_number;
        self.next_number += 1;
        self.outstanding.push_back(Entry {
            number,
            identity,
            reply,
            item,
        });
    }

    /// Looks at all replies and passes each publish that has ended to `end`. `take_sent` must add a publish whose
    /// sending has just been completed, if there is one: its reply may be in already, with a returned message.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut take_sent: impl FnMut(&mut Self, &mut Context<'_>),
        mut end: impl FnMut(Identity, T, Ending),
    ) {
        let mut replied = self.look(cx);
        while !replied.is_empty() {
            take_sent(self, cx);
            // Whoever completed before those in `replied` is in hand after this.
            let later = self.look(cx);
            self.judge(replied, &mut end);
            replied = later;
        }
    }

    /// The channel is over: what has a reply is judged by it, everything else is lost.
    pub(crate) fn finish(
        mut self,
        cx: &mut Context<'_>,
        problem: &str,
        mut end: impl FnMut(Identity, T, Ending),
    ) {
        self.poll(cx, |_, _| {}, &mut end);
        let lost = || Ending::Lost(problem.to_owned());
        self.outstanding
            .drain(..)
            .for_each(|entry| end(entry.identity, entry.item, lost()));
        self.undecided
            .drain(..)
            .for_each(|undecided| end(undecided.identity, undecided.item, lost()));
    }

    fn look(&mut self, cx: &mut Context<'_>) -> Vec<Replied<T>> {
        let mut replied = Vec::new();
        let mut at = 0;
        while let Some(entry) = self.outstanding.get_mut(at) {
            let Poll::Ready(reply) = Pin::new(&mut entry.reply).poll(cx) else {
                at += 1;
                continue;
            };
            if let Reply::Ack {
                returned: Some(identity),
            }
            | Reply::Nack {
                returned: Some(identity),
            } = &reply
            {
                self.returned.push(identity.clone());
            }
            self.is_broken |= matches!(reply, Reply::Lost(_));
            if let Some(Entry {
                number,
                identity,
                item,
                ..
            }) = self.outstanding.remove(at)
            {
                replied.push(Replied {
                    number,
                    identity,
                    reply,
                    item,
                });
            }
        }
        replied
    }

    fn judge(&mut self, replied: Vec<Replied<T>>, end: &mut impl FnMut(Identity, T, Ending)) {
        let mut line_was_empty_for = None;
        for Replied {
            number,
            identity,
            reply,
            item,
        } in replied
        {
            match reply {
                Reply::Lost(problem) => end(identity, item, Ending::Lost(problem)),
                Reply::Ack { .. } | Reply::Nack { .. } if self.was_returned(&identity) => {
                    end(identity, item, Ending::Returned)
                }
                Reply::Nack { .. } => end(identity, item, Ending::Nacked),
                Reply::Ack { returned: None } => {
                    line_was_empty_for = line_was_empty_for.max(Some(number));
                    end(identity, item, Ending::Confirmed);
                }
                Reply::Ack { returned: Some(_) } => {
                    self.undecided.push(Undecided {
                        identity,
                        since: self.next_number,
                        item,
                    });
                }
            }
        }
        // Completed publishes have taken the whole line when one of them found it empty after the ack in question,
        // or when none is left (each returned message has an ack of its own).
        let is_line_empty = self.outstanding.is_empty() && !self.is_broken;
        let mut at = 0;
        while let Some(undecided) = self.undecided.get(at) {
            let (identity, since) = (undecided.identity.clone(), undecided.since);
            let ending = if self.was_returned(&identity) {
                Ending::Returned
            } else if is_line_empty || line_was_empty_for.is_some_and(|number| number >= since) {
                Ending::Confirmed
            } else {
                at += 1;
                continue;
            };
            end(identity, self.undecided.remove(at).item, ending);
        }
    }

    fn was_returned(&mut self, identity: &Identity) -> bool {
        let found = self.returned.iter().position(|returned| returned == identity);
        found.map(|at| self.returned.swap_remove(at)).is_some()
    }
}

#[cfg(test)]
mod tests;
