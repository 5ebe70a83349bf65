//! RELP, the Reliable Event Logging Protocol, as librelp speaks it: `TXNR SP COMMAND SP DATALEN [SP DATA] LF`.
//!
//! A transaction number is 1 to 9 digits, a command 1 to 32 letters, a length 1 to 9 digits; `DATA` and the
//! space before it are absent when the length is 0. Numbers follow each other from 1 to 999,999,999 and then
//! begin at 1 again; 0 marks a hint that expects no answer. [`RelpDecoder`] reads commands and responses,
//! [`write_frame`] and its relatives write them.

mod decoder;
mod offers;

pub use self::decoder::{RelpDecoder, RelpFrame, RelpFrames, Violation};
pub use self::offers::{BadOffers, Offers, SOFTWARE};

use crate::encode::write_number;

/// The highest transaction number.
pub const TXNR_MAX: u32 = 999_999_999;

/// The transaction number of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Txnr(u32);

impl Txnr {
    /// What the server sends unasked.
    pub const HINT: Self = Self(0);
    /// The first of a session, that of `open`.
    pub const FIRST: Self = Self(1);

    /// A number up to [`TXNR_MAX`].
    #[must_use]
    pub const fn new(number: u32) -> Option<Self> {
        if number <= TXNR_MAX {
            Some(Self(number))
        } else {
            None
        }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number that must follow.
    #[must_use]
    pub const fn next(self) -> Self {
        if self.0 >= TXNR_MAX {
            Self::FIRST
        } else {
            Self(self.0 + 1)
        }
    }
}

impl std::fmt::Display for Txnr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Appends a frame.
pub fn write_frame(out: &mut Vec<u8>, txnr: Txnr, command: &str, data: &[u8]) {
    write_number(out, txnr.0);
    out.push(b' ');
    out.extend_from_slice(command.as_bytes());
    out.push(b' ');
    write_number(out, data.len());
    if !data.is_empty() {
        out.push(b' ');
        out.extend_from_slice(data);
    }
    out.push(b'\n');
}

/// Appends the answer to a `syslog` command whose frame is in custody.
pub fn write_ok(out: &mut Vec<u8>, txnr: Txnr) {
    write_number(out, txnr.0);
    out.extend_from_slice(b" rsp 6 200 OK\n");
}

/// Appends the answer to `close`.
pub fn write_close_response(out: &mut Vec<u8>, txnr: Txnr) {
    write_frame(out, txnr, "rsp", b"");
}

/// Appends the refusal of a command.
pub fn write_refusal(out: &mut Vec<u8>, txnr: Txnr, reason: &str) {
    write_frame(out, txnr, "rsp", format!("500 {reason}").as_bytes());
}

/// Appends the hint that the server will close the session. The reason, which may be empty, is for people;
/// librelp does not look at it.
pub fn write_server_close(out: &mut Vec<u8>, reason: &str) {
    write_frame(out, Txnr::HINT, "serverclose", reason.as_bytes());
}

/// The status and the rest of a response's data: `200 OK`, then for `open` the server's offers. An empty
/// response, which answers `close`, counts as 200. `None` for what is no response.
#[must_use]
pub fn read_response(data: &[u8]) -> Option<(u16, &[u8])> {
    if data.is_empty() {
        return Some((200, data));
    }
    let (code, rest) = data.split_first_chunk::<3>()?;
    if !code.iter().all(u8::is_ascii_digit) || !matches!(rest.first(), None | Some(b' ' | b'\n')) {
        return None;
    }
    let code = code
        .iter()
        .fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    Some((code, rest.get(1..).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_begin_again_after_the_highest() {
        assert_eq!(Txnr::FIRST.next().get(), 2);
        assert_eq!(Txnr::new(TXNR_MAX).unwrap().next(), Txnr::FIRST);
        assert_eq!(Txnr::new(TXNR_MAX + 1), None);
    }

    #[test]
    fn frames_are_written_as_librelp_writes_them() {
        let mut out = Vec::new();
        write_frame(&mut out, Txnr(2), "syslog", b"<13>hello");
        write_ok(&mut out, Txnr(2));
        write_refusal(&mut out, Txnr(3), "unknown command");
        write_close_response(&mut out, Txnr(4));
        write_server_close(&mut out, "");
        let expected =
            "2 syslog 9 <13>hello\n2 rsp 6 200 OK\n3 rsp 19 500 unknown command\n4 rsp 0\n0 serverclose 0\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn responses_have_a_status() {
        assert_eq!(read_response(b"200 OK"), Some((200, &b"OK"[..])));
        assert_eq!(
            read_response(b"200 OK\nrelp_version=0"),
            Some((200, &b"OK\nrelp_version=0"[..]))
        );
        assert_eq!(read_response(b"500"), Some((500, &b""[..])));
        assert_eq!(read_response(b""), Some((200, &b""[..])));
        assert_eq!(read_response(b"2000 OK"), None);
        assert_eq!(read_response(b"OK"), None);
    }
}
