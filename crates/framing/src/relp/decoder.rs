//! RELP frames out of a connection.

use event::FrameDefects;

use super::Txnr;
use crate::frame::{Frame, trim_terminator};

const TXNR_DIGITS_MAX: usize = 9;
const COMMAND_LETTERS_MAX: usize = 32;
const LEN_DIGITS_MAX: usize = 9;

/// The longest header, with the spaces around its parts and the line feed after the data.
const OVERHEAD_MAX: usize = TXNR_DIGITS_MAX + 1 + COMMAND_LETTERS_MAX + 1 + LEN_DIGITS_MAX + 1 + 1;

/// Data above this (unless frames may be that long) is a violation: no sender means it.
const DATA_MAX: usize = 16 << 20;

/// One RELP frame, borrowed from the read buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelpFrame<'a> {
    /// The transaction number.
    pub txnr: Txnr,
    /// The command, 1 to 32 ASCII letters.
    pub command: &'a [u8],
    /// The data.
    pub data: &'a [u8],
    /// `TRUNCATED` when `data` was cut.
    pub defects: FrameDefects,
}

impl<'a> RelpFrame<'a> {
    /// The log line that a `syslog` command carries; `None` when it is empty.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'a>> {
        let bytes = if self.defects.is_empty() {
            trim_terminator(self.data)
        } else {
            self.data
        };
        (!bytes.is_empty()).then_some(Frame {
            bytes,
            defects: self.defects,
        })
    }
}

/// What a peer did that RELP forbids. There is no way to find the next frame, so the session is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Violation {
    /// No digit where a frame begins, too many digits, or no space after them.
    #[error("no transaction number of 1 to 9 digits where a frame begins")]
    Txnr,
    /// No letter, too many letters, or no space after them.
    #[error("no command of 1 to 32 letters after the transaction number")]
    Command,
    /// No digit, too many digits, or neither space nor line feed after them.
    #[error("no data length of 1 to 9 digits after the command")]
    DataLen,
    /// A length that nobody means.
    #[error("data of {0} bytes announced")]
    TooLong(usize),
    /// No line feed after the data.
    #[error("no line feed after the data of a frame")]
    Trailer,
}

/// Cuts RELP frames out of one connection.
#[derive(Debug)]
pub struct RelpDecoder {
    data_bytes_max: usize,
    /// Bytes of a cut frame that are to come, its line feed included.
    discard: usize,
    discarded: u64,
    violation: Option<Violation>,
}

struct Header<'a> {
    txnr: Txnr,
    command: &'a [u8],
    /// Of the data.
    len: usize,
    /// Bytes before the data.
    size: usize,
}

impl RelpDecoder {
    /// A decoder that cuts data at `data_bytes_max`, discards the rest and stays in step.
    #[must_use]
    pub const fn new(data_bytes_max: usize) -> Self {
        Self {
            data_bytes_max,
            discard: 0,
            discarded: 0,
            violation: None,
        }
    }

    /// Cuts data at `data_bytes_max` from now on, also that which has begun.
    pub const fn cut_at(&mut self, data_bytes_max: usize) {
        self.data_bytes_max = data_bytes_max;
    }

    /// A read buffer of this size is never full without a frame in it.
    #[must_use]
    pub const fn buffer_bytes_min(&self) -> usize {
        self.data_bytes_max + OVERHEAD_MAX
    }

    /// The frames of `input`: what the last call did not consume, and the bytes read since.
    pub const fn decode<'d, 'a>(&'d mut self, input: &'a [u8]) -> RelpFrames<'d, 'a> {
        RelpFrames {
            decoder: self,
            input,
            rest: input,
        }
    }

    /// Bytes beyond `data_bytes_max` that were thrown away since the last call.
    pub const fn take_discarded(&mut self) -> u64 {
        std::mem::replace(&mut self.discarded, 0)
    }
}

/// The frames of one read; see [`RelpDecoder::decode`].
#[derive(Debug)]
pub struct RelpFrames<'d, 'a> {
    decoder: &'d mut RelpDecoder,
    input: &'a [u8],
    rest: &'a [u8],
}

impl<'a> RelpFrames<'_, 'a> {
    /// The next frame; `None` when the rest is not a whole one.
    ///
    /// # Errors
    /// A [`Violation`], and then the same one for ever.
    pub fn next_frame(&mut self) -> Result<Option<RelpFrame<'a>>, Violation> {
        if let Some(violation) = self.decoder.violation {
            return Err(violation);
        }
        self.next_or_violation()
            .inspect_err(|violation| self.decoder.violation = Some(*violation))
    }

    /// Bytes at the front of the input that are dealt with; the others belong in front of the next read.
    #[must_use]
    pub const fn consumed(&self) -> usize {
        self.input.len() - self.rest.len()
    }

    fn next_or_violation(&mut self) -> Result<Option<RelpFrame<'a>>, Violation> {
        self.discard()?;
        if self.decoder.discard > 0 {
            return Ok(None);
        }
        let max = self.decoder.data_bytes_max;
        let header = match read_header(self.rest) {
            Ok(header) => header,
            Err(NoHeader::Partial) => return Ok(None),
            Err(NoHeader::Violation(violation)) => return Err(violation),
        };
        if header.len > max.max(DATA_MAX) {
            return Err(Violation::TooLong(header.len));
        }
        let data = self.rest.get(header.size..).unwrap_or_default();
        let Some((data, rest)) = data.split_at_checked(header.len.min(max)) else {
            return Ok(None);
        };
        let mut frame = RelpFrame {
            txnr: header.txnr,
            command: header.command,
            data,
            defects: FrameDefects::empty(),
        };
        if header.len > max {
            frame.defects = FrameDefects::TRUNCATED;
            self.decoder.discard = header.len - max + 1;
            self.rest = rest;
            return Ok(Some(frame));
        }
        match rest.split_first() {
            None => Ok(None),
            Some((b'\n', rest)) => {
                self.rest = rest;
                Ok(Some(frame))
            }
            Some(_) => Err(Violation::Trailer),
        }
    }

    /// The rest of a frame that was cut, and its line feed.
    fn discard(&mut self) -> Result<(), Violation> {
        let here = self.decoder.discard.saturating_sub(1).min(self.rest.len());
        self.rest = self.rest.get(here..).unwrap_or_default();
        self.decoder.discard -= here;
        self.decoder.discarded += u64::try_from(here).unwrap_or(u64::MAX);
        if self.decoder.discard == 1
            && let Some((trailer, rest)) = self.rest.split_first()
        {
            if *trailer != b'\n' {
                return Err(Violation::Trailer);
            }
            self.rest = rest;
            self.decoder.discard = 0;
        }
        Ok(())
    }
}

/// Why there is no header.
enum NoHeader {
    /// Its end has not come yet.
    Partial,
    Violation(Violation),
}

/// The header at the front of `input`. Never looks further than the longest header, so reading it again with
/// every byte that comes costs a bounded amount a byte.
fn read_header(input: &[u8]) -> Result<Header<'_>, NoHeader> {
    let mut rest = input;
    let txnr = take_word(&mut rest, TXNR_DIGITS_MAX, u8::is_ascii_digit, Violation::Txnr)?;
    take_space(&mut rest, Violation::Txnr)?;
    let letters = u8::is_ascii_alphabetic;
    let command = take_word(&mut rest, COMMAND_LETTERS_MAX, letters, Violation::Command)?;
    take_space(&mut rest, Violation::Command)?;
    let len = take_word(&mut rest, LEN_DIGITS_MAX, u8::is_ascii_digit, Violation::DataLen)?;
    let len = usize::try_from(number(len)).unwrap_or(usize::MAX);
    if len > 0 {
        take_space(&mut rest, Violation::DataLen)?;
    } else if rest.first() != Some(&b'\n') {
        return Err(NoHeader::Violation(Violation::DataLen));
    }
    Ok(Header {
        txnr: Txnr::new(number(txnr)).ok_or(NoHeader::Violation(Violation::Txnr))?,
        command,
        len,
        size: input.len() - rest.len(),
    })
}

/// Takes the longest run of bytes that `fits`; it is whole only when something follows it.
fn take_word<'a>(
    rest: &mut &'a [u8],
    max: usize,
    fits: fn(&u8) -> bool,
    violation: Violation,
) -> Result<&'a [u8], NoHeader> {
    let end = rest.iter().take(max + 1).take_while(|byte| fits(byte)).count();
    let (word, after) = rest.split_at(end);
    if end > max || (end == 0 && !after.is_empty()) {
        return Err(NoHeader::Violation(violation));
    }
    if after.is_empty() {
        return Err(NoHeader::Partial);
    }
    *rest = after;
    Ok(word)
}

fn take_space(rest: &mut &[u8], violation: Violation) -> Result<(), NoHeader> {
    *rest = match rest.split_first() {
        None => return Err(NoHeader::Partial),
        Some((b' ', after)) => after,
        Some(_) => return Err(NoHeader::Violation(violation)),
    };
    Ok(())
}

/// Of at most nine digits.
fn number(digits: &[u8]) -> u32 {
    digits
        .iter()
        .fold(0, |number, digit| number * 10 + u32::from(digit - b'0'))
}

#[cfg(test)]
mod tests;
