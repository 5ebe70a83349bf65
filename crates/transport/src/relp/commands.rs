//! What the commands of a session do.

use framing::{
    Frame, Joiner,
    relp::{self, Offers, RelpFrame, RelpFrames, Txnr, Violation},
};

use super::replies::Replies;
use crate::{
    custody::Ticket,
    session::End,
    sink::{FrameSource, Peer},
};

/// What a peer did that RELP forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RelpViolation {
    #[error(transparent)]
    Framing(#[from] Violation),
    #[error("transaction {found} where {expected} must follow")]
    Order { expected: Txnr, found: Txnr },
    #[error("a command before the session was opened")]
    NotOpen,
    #[error("a second open")]
    OpenTwice,
    #[error(transparent)]
    Offers(#[from] relp::BadOffers),
}

/// The state of a session as its commands change it.
#[derive(Debug)]
pub(super) struct Commands {
    expected: Txnr,
    is_open: bool,
    /// No further command is looked at.
    end: Option<End>,
    is_over: bool,
}

impl Commands {
    pub(super) const fn new() -> Self {
        Self {
            expected: Txnr::FIRST,
            is_open: false,
            end: None,
            is_over: false,
        }
    }

    /// Whether `open` was answered.
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Why a command ended the session; once.
    pub(super) const fn take_end(&mut self) -> Option<End> {
        self.end.take()
    }

    fn end(&mut self, end: End) {
        self.end = Some(end);
        self.is_over = true;
    }

    /// The frame that a command brings. What becomes of it is for the caller to tell the replies.
    fn run<'a>(
        &mut self,
        command: RelpFrame<'a>,
        replies: &mut Replies,
    ) -> Result<Option<(Txnr, Frame<'a>)>, RelpViolation> {
        let txnr = command.txnr;
        if txnr != self.expected {
            return Err(RelpViolation::Order {
                expected: self.expected,
                found: txnr,
            });
        }
        self.expected = txnr.next();
        match command.command {
            b"open" => self.open(command, replies)?,
            _ if !self.is_open => return Err(RelpViolation::NotOpen),
            b"syslog" => {
                let frame = command.frame();
                if frame.is_none() {
                    replies.expect_nothing(txnr);
                }
                return Ok(frame.map(|frame| (txnr, frame)));
            }
            b"close" => {
                let mut answer = Vec::new();
                relp::write_close_response(&mut answer, txnr);
                replies.answer(answer);
                self.end(End::RelpClosed);
            }
            _ => {
                let mut answer = Vec::new();
                relp::write_refusal(&mut answer, txnr, "unknown command");
                replies.answer(answer);
            }
        }
        Ok(None)
    }

    fn open(&mut self, command: RelpFrame<'_>, replies: &mut Replies) -> Result<(), RelpViolation> {
        if self.is_open {
            return Err(RelpViolation::OpenTwice);
        }
        let mut answer = Vec::new();
        let offers = match Offers::read(command.data) {
            Ok(offers) => offers.answer(),
            Err(error) => {
                relp::write_refusal(&mut answer, command.txnr, &error.to_string());
                replies.answer(answer);
                return Err(error.into());
            }
        };
        let data = format!("200 OK\n{offers}");
        relp::write_frame(&mut answer, command.txnr, "rsp", data.as_bytes());
        replies.answer(answer);
        self.is_open = true;
        Ok(())
    }
}

/// The frames of one read of a session.
pub(super) struct Source<'a, 'd, 'i> {
    peer: &'a Peer,
    frames: RelpFrames<'d, 'i>,
    commands: &'a mut Commands,
    replies: &'a mut Replies,
    joiner: Option<&'a mut Joiner>,
}

impl<'a, 'd, 'i> Source<'a, 'd, 'i> {
    pub(super) const fn new(
        peer: &'a Peer,
        frames: RelpFrames<'d, 'i>,
        commands: &'a mut Commands,
        replies: &'a mut Replies,
        joiner: Option<&'a mut Joiner>,
    ) -> Self {
        Self {
            peer,
            frames,
            commands,
            replies,
            joiner,
        }
    }

    /// The event that was completed last.
    fn complete(&self) -> Option<(&Peer, Frame<'_>)> {
        let joiner = self.joiner.as_deref()?;
        Some((self.peer, joiner.complete()))
    }

    /// Bytes of the read that are dealt with.
    pub(super) const fn consumed(&self) -> usize {
        self.frames.consumed()
    }
}

impl FrameSource for Source<'_, '_, '_> {
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)> {
        while !self.commands.is_over {
            let ran = match self.frames.next_frame() {
                Ok(Some(command)) => self.commands.run(command, self.replies),
                Ok(None) => return None,
                Err(violation) => Err(violation.into()),
            };
            match ran {
                Ok(Some((txnr, frame))) => {
                    let Some(joiner) = &mut self.joiner else {
                        self.replies.expect_frame(txnr);
                        return Some((self.peer, frame));
                    };
                    let is_complete = joiner.push(frame);
                    if is_complete {
                        self.replies.release_held();
                    }
                    self.replies.hold_frame(txnr);
                    if is_complete {
                        return self.complete();
                    }
                }
                Ok(None) => {}
                Err(violation) => self.commands.end(End::Violation(violation)),
            }
        }
        None
    }

    fn placed(&mut self, ticket: &Ticket) {
        self.replies.placed(ticket);
    }
}

/// An event that was under way when nothing more came.
pub(super) struct Last<'a> {
    peer: &'a Peer,
    frame: Option<Frame<'a>>,
    replies: &'a mut Replies,
}

impl<'a> Last<'a> {
    pub(super) fn new(peer: &'a Peer, frame: Frame<'a>, replies: &'a mut Replies) -> Self {
        replies.release_held();
        Self {
            peer,
            frame: Some(frame),
            replies,
        }
    }
}

impl FrameSource for Last<'_> {
    fn next_frame(&mut self) -> Option<(&Peer, Frame<'_>)> {
        self.frame.take().map(|frame| (self.peer, frame))
    }

    fn placed(&mut self, ticket: &Ticket) {
        self.replies.placed(ticket);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use framing::RelpDecoder;

    use super::*;
    use crate::custody::custody;

    const OPEN: &[u8] = b"1 open 30 relp_version=0\ncommands=syslog\n";

    /// Runs `input`, confirms all of it, and gives the frames, the answers and the end.
    fn run(input: &[u8]) -> (Vec<Vec<u8>>, String, Option<End>) {
        let peer = Peer {
            addr: "192.0.2.1:1000".to_owned(),
            tls_name: None,
        };
        let (mut decoder, mut commands) = (RelpDecoder::new(1000), Commands::new());
        let mut replies = Replies::new(Arc::default());
        let (settler, ticket) = custody();
        let mut source = Source::new(&peer, decoder.decode(input), &mut commands, &mut replies, None);
        let mut frames = Vec::new();
        while let Some((_, frame)) = source.next_frame() {
            frames.push(frame.bytes.to_vec());
        }
        source.placed(&ticket);
        settler.confirm();
        replies.collect().unwrap();
        assert!(replies.is_all_answered());
        let answers = String::from_utf8(replies.take_unwritten()).unwrap();
        (frames, answers, commands.take_end())
    }

    #[track_caller]
    fn check_violation(after_open: &[u8], expected: RelpViolation) {
        let (frames, answers, end) = run(&[OPEN, after_open].concat());
        assert!(frames.is_empty());
        assert!(answers.starts_with("1 rsp "));
        assert!(
            matches!(end, Some(End::Violation(violation)) if violation == expected),
            "{end:?}"
        );
    }

    #[test]
    fn a_session_opens_takes_frames_and_closes() {
        let (frames, answers, end) = run(&[
            OPEN,
            b"2 syslog 6 <13>a\n\n3 starttls 0\n4 syslog 0\n5 close 0\n6 syslog 5 <13>b\n",
        ]
        .concat());
        assert_eq!(frames, [b"<13>a"]);
        let offers = Offers::ours(0).to_string();
        assert_eq!(
            answers,
            format!(
                "1 rsp {} 200 OK\n{offers}\n2 rsp 6 200 OK\n3 rsp 19 500 unknown command\n4 rsp 6 200 OK\n5 rsp 0\n",
                offers.len() + 7
            )
        );
        assert!(matches!(end, Some(End::RelpClosed)));
    }

    #[test]
    fn the_order_of_transactions_is_checked() {
        let order = |found| RelpViolation::Order {
            expected: Txnr::new(2).unwrap(),
            found: Txnr::new(found).unwrap(),
        };
        check_violation(b"3 syslog 5 <13>a\n", order(3));
        check_violation(b"1 syslog 5 <13>a\n", order(1));
        check_violation(b"0 syslog 5 <13>a\n", order(0));
        check_violation(
            b"2 open 30 relp_version=0\ncommands=syslog\n",
            RelpViolation::OpenTwice,
        );
    }

    #[test]
    fn a_session_begins_with_open() {
        let (frames, answers, end) = run(b"1 syslog 5 <13>a\n");
        assert!(frames.is_empty() && answers.is_empty());
        assert!(matches!(end, Some(End::Violation(RelpViolation::NotOpen))));
        let (_, answers, end) = run(b"1 open 15 commands=syslog\n");
        assert!(answers.starts_with("1 rsp ") && answers.contains(" 500 required offer"));
        assert!(matches!(end, Some(End::Violation(RelpViolation::Offers(_)))));
    }
}
