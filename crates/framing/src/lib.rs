//! Bytes to frames and back; does no IO and knows no grammar.
//!
//! A *frame* is one log line without its framing. [`StreamDecoder`] cuts frames out of what a syslog TCP
//! connection carries (RFC 6587: octet counting and lines, told apart frame by frame), [`RelpDecoder`] out of a
//! RELP session, [`LineDecoder`] out of a file, [`datagram`] out of a UDP datagram. [`Joiner`] makes one frame of lines
//! that belong together. Frames borrow from the caller's read buffer. The way back is
//! [`write_line`], [`write_octet_counted`] and [`relp`].
//!
//! ```
//! use framing::StreamDecoder;
//!
//! let mut decoder = StreamDecoder::new(65_536);
//! let read = b"<13>a line\n11 <13>counted<13>the ne";
//! let mut frames = decoder.decode(read);
//! assert_eq!(frames.next_frame().unwrap().bytes, b"<13>a line");
//! assert_eq!(frames.next_frame().unwrap().bytes, b"<13>counted");
//! assert!(frames.next_frame().is_none());
//! // What is left belongs in front of the next read.
//! assert_eq!(&read[frames.consumed()..], b"<13>the ne");
//! ```

mod encode;
mod frame;
mod lines;
mod multiline;
pub mod relp;
mod stream;

pub use crate::encode::{write_line, write_octet_counted};
pub use crate::frame::{Frame, datagram};
pub use crate::lines::{Line, LineDecoder};
pub use crate::multiline::{BadPattern, Joiner, MultilineRule};
pub use crate::relp::RelpDecoder;
pub use crate::stream::{Frames, StreamDecoder};
