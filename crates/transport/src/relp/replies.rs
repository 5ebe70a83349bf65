//! Answers of a session, in the order of its transactions.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use framing::relp::{self, Txnr};
use tokio::{io::AsyncWrite, sync::Notify};

use crate::custody::{Custody, Ticket};

/// Transactions that may await their answer; no client has a window near this.
const UNANSWERED_MAX: u32 = 65_536;

/// A session with more than this to write is not read.
const UNWRITTEN_BYTES_MAX: usize = 256 * 1024;

/// Memory kept for the next answers.
const KEPT_BYTES: usize = 4096;

/// A batch with frames of the session was given up.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CustodyLost;

/// What is to be answered, and what is to be written.
#[derive(Debug)]
pub(super) struct Replies {
    queue: VecDeque<Reply>,
    unanswered: u32,
    /// The transaction that is answered next.
    next: Txnr,
    out: Vec<u8>,
    written: usize,
    must_flush: bool,
    /// Notified when a ticket of the session is settled.
    settled: Arc<Notify>,
    /// The ticket that was asked last to do so.
    asked: Option<Ticket>,
}

#[derive(Debug)]
enum Reply {
    /// `syslog` commands up to this one. The ticket is `None` until the sink has placed their frames.
    Syslog { through: Txnr, ticket: Option<Ticket> },
    /// `syslog` commands up to this one, whose frames are part of an event that is not complete.
    Held { through: Txnr },
    /// Another command, its answer ready to be written in its turn.
    Ready(Vec<u8>),
}

impl Replies {
    pub(super) const fn new(settled: Arc<Notify>) -> Self {
        Self {
            queue: VecDeque::new(),
            unanswered: 0,
            next: Txnr::FIRST,
            out: Vec::new(),
            written: 0,
            must_flush: false,
            settled,
            asked: None,
        }
    }

    /// A `syslog` command whose frame goes to the sink.
    pub(super) fn expect_frame(&mut self, txnr: Txnr) {
        self.unanswered += 1;
        match self.queue.back_mut() {
            Some(Reply::Syslog {
                through,
                ticket: None,
            }) => *through = txnr,
            _ => self.queue.push_back(Reply::Syslog {
                through: txnr,
                ticket: None,
            }),
        }
    }

    /// A `syslog` command whose frame is part of an event that is not complete.
    pub(super) fn hold_frame(&mut self, txnr: Txnr) {
        self.unanswered += 1;
        match self.queue.back_mut() {
            Some(Reply::Held { through }) => *through = txnr,
            _ => self.queue.push_back(Reply::Held { through: txnr }),
        }
    }

    /// The event under way is complete: its frames go to the sink.
    pub(super) fn release_held(&mut self) {
        for reply in self.queue.iter_mut().rev() {
            match *reply {
                Reply::Held { through } => {
                    *reply = Reply::Syslog {
                        through,
                        ticket: None,
                    };
                }
                Reply::Syslog { .. } => break,
                Reply::Ready(_) => {}
            }
        }
    }

    /// A `syslog` command without a message: nobody needs custody of it.
    pub(super) fn expect_nothing(&mut self, txnr: Txnr) {
        match self.queue.back_mut() {
            Some(Reply::Syslog { through, .. } | Reply::Held { through }) => {
                self.unanswered += 1;
                *through = txnr;
            }
            _ => {
                let mut answer = Vec::new();
                relp::write_ok(&mut answer, txnr);
                self.answer(answer);
            }
        }
    }

    /// Another command, and its answer.
    pub(super) fn answer(&mut self, answer: Vec<u8>) {
        self.unanswered += 1;
        self.queue.push_back(Reply::Ready(answer));
    }

    /// The frames expected since the last call are under `placed`.
    pub(super) fn placed(&mut self, placed: &Ticket) {
        let mut is_new = false;
        for reply in self.queue.iter_mut().rev() {
            match reply {
                Reply::Syslog { ticket: Some(_), .. } => break,
                Reply::Syslog { ticket, .. } => {
                    *ticket = Some(placed.clone());
                    is_new = true;
                }
                Reply::Ready(_) | Reply::Held { .. } => {}
            }
        }
        if !is_new {
            return;
        }
        self.join_last();
        if !self.asked.as_ref().is_some_and(|asked| asked.is_same(placed)) {
            placed.notify(&self.settled);
            self.asked = Some(placed.clone());
        }
    }

    /// Makes one of the last two when they are under the same ticket, so that a session that sends frame by
    /// frame does not queue them one by one.
    fn join_last(&mut self) {
        let Some(Reply::Syslog {
            through,
            ticket: Some(ticket),
        }) = self.queue.back()
        else {
            return;
        };
        let (through, ticket) = (*through, ticket.clone());
        let before = self.queue.len().checked_sub(2);
        if let Some(Reply::Syslog {
            through: joined,
            ticket: Some(other),
        }) = before.and_then(|before| self.queue.get_mut(before))
            && other.is_same(&ticket)
        {
            *joined = through;
            self.queue.pop_back();
        }
    }

    /// Moves what can be answered into what is to be written.
    pub(super) fn collect(&mut self) -> Result<(), CustodyLost> {
        while let Some(reply) = self.queue.front() {
            match reply {
                Reply::Ready(answer) => {
                    self.out.extend_from_slice(answer);
                    self.next = self.next.next();
                    self.unanswered -= 1;
                }
                Reply::Syslog { ticket: None, .. } | Reply::Held { .. } => break,
                Reply::Syslog {
                    through,
                    ticket: Some(ticket),
                } => match ticket.custody() {
                    Custody::Awaited => break,
                    Custody::Lost => return Err(CustodyLost),
                    Custody::Confirmed => loop {
                        let txnr = self.next;
                        relp::write_ok(&mut self.out, txnr);
                        self.next = txnr.next();
                        self.unanswered -= 1;
                        if txnr == *through {
                            break;
                        }
                    },
                },
            }
            self.queue.pop_front();
        }
        Ok(())
    }

    pub(super) fn is_all_answered(&self) -> bool {
        self.queue.is_empty()
    }

    /// Whether further commands may be read.
    pub(super) fn has_room(&self) -> bool {
        self.unanswered < UNANSWERED_MAX && self.out.len() < UNWRITTEN_BYTES_MAX
    }

    pub(super) fn has_to_write(&self) -> bool {
        !self.out.is_empty() || self.must_flush
    }

    /// Writes some of it.
    pub(super) fn poll_write<S: AsyncWrite>(
        &mut self,
        cx: &mut Context<'_>,
        mut stream: Pin<&mut S>,
    ) -> Poll<io::Result<()>> {
        let rest = self.out.get(self.written..).unwrap_or_default();
        if !rest.is_empty() {
            let written = ready!(stream.as_mut().poll_write(cx, rest))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += written;
            self.must_flush = true;
        }
        if self.written == self.out.len() {
            self.out.clear();
            self.out.shrink_to(KEPT_BYTES);
            self.written = 0;
            ready!(stream.poll_flush(cx))?;
            self.must_flush = false;
        }
        Poll::Ready(Ok(()))
    }

    /// What is not written yet.
    pub(super) fn take_unwritten(&mut self) -> Vec<u8> {
        let mut out = std::mem::take(&mut self.out);
        out.drain(..std::mem::take(&mut self.written));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::custody::custody;

    fn txnr(number: u32) -> Txnr {
        Txnr::new(number).unwrap()
    }

    fn collected(replies: &mut Replies) -> String {
        replies.collect().unwrap();
        String::from_utf8(replies.take_unwritten()).unwrap()
    }

    #[test]
    fn answers_keep_the_order_whatever_is_confirmed_first() {
        let mut replies = Replies::new(Arc::default());
        let (first_settler, first) = custody();
        let (second_settler, second) = custody();
        replies.answer(b"1 rsp 6 200 OK\n".to_vec());
        replies.expect_frame(txnr(2));
        replies.expect_frame(txnr(3));
        replies.placed(&first);
        replies.expect_frame(txnr(4));
        replies.answer(b"5 rsp 0\n".to_vec());
        replies.expect_frame(txnr(6));
        replies.placed(&second);
        assert_eq!(collected(&mut replies), "1 rsp 6 200 OK\n");
        second_settler.confirm();
        assert_eq!(collected(&mut replies), "");
        first_settler.confirm();
        assert_eq!(
            collected(&mut replies),
            "2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n5 rsp 0\n6 rsp 6 200 OK\n"
        );
        assert!(replies.is_all_answered());
        assert_eq!(replies.unanswered, 0);
    }

    #[test]
    fn frames_sent_one_by_one_wait_as_one() {
        let mut replies = Replies::new(Arc::default());
        let (settler, ticket) = custody();
        for number in 1..=1000 {
            replies.expect_frame(txnr(number));
            replies.placed(&ticket);
        }
        assert_eq!(replies.queue.len(), 1);
        settler.confirm();
        assert_eq!(collected(&mut replies).lines().count(), 1000);
    }

    #[test]
    fn empty_messages_are_answered_in_their_turn() {
        let mut replies = Replies::new(Arc::default());
        let (settler, ticket) = custody();
        replies.expect_nothing(txnr(1));
        replies.expect_frame(txnr(2));
        replies.expect_nothing(txnr(3));
        replies.placed(&ticket);
        replies.expect_nothing(txnr(4));
        assert_eq!(collected(&mut replies), "1 rsp 6 200 OK\n");
        settler.confirm();
        assert_eq!(
            collected(&mut replies),
            "2 rsp 6 200 OK\n3 rsp 6 200 OK\n4 rsp 6 200 OK\n"
        );
    }

    #[test]
    fn what_is_lost_is_not_answered() {
        let mut replies = Replies::new(Arc::default());
        let (settler, ticket) = custody();
        replies.expect_frame(txnr(1));
        replies.placed(&ticket);
        drop(settler);
        assert_eq!(replies.collect(), Err(CustodyLost));
        assert!(!replies.has_to_write());
    }
}
