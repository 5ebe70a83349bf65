//! The messages that `send` sends: from arguments, a file or stdin, as they are or with a syslog header.

use std::{
    fs::{File, Metadata},
    io::{self, BufRead, BufReader, Read},
    path::PathBuf,
};

use anyhow::Context as _;
use event::{EventTime, Facility, Severity, Timestamp};
use tokio::sync::mpsc;

/// Longer lines are sent in pieces of this size: a file without line feeds must fit into memory too.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// Lines that are read ahead.
const LINES_AHEAD: usize = 1024;

/// Bytes of a file that are read at a time.
const FILE_BUFFER_BYTES: usize = 256 * 1024;

/// What stands before a message (RFC 5424).
#[derive(Debug, Clone)]
pub(crate) struct Header {
    pub(crate) facility: Facility,
    pub(crate) severity: Severity,
    pub(crate) hostname: String,
    pub(crate) app_name: String,
}

impl Header {
    /// The frame of `message`, sent now, in the memory of `frame`.
    pub(crate) fn write(&self, frame: &mut Vec<u8>, message: &[u8]) {
        let priority = self.facility.code() * 8 + self.severity.code();
        let timestamp = EventTime::utc(Timestamp::now());
        let header = format!(
            "<{priority}>1 {timestamp} {} {} {} - - ",
            self.hostname,
            self.app_name,
            std::process::id()
        );
        frame.clear();
        frame.extend_from_slice(header.as_bytes());
        frame.extend_from_slice(message);
    }
}

/// `facility.severity`, or the number of a priority.
pub(crate) fn priority(text: &str) -> Result<(Facility, Severity), String> {
    let by_number = text
        .parse::<u8>()
        .ok()
        .and_then(|number| Some((Facility::new(number / 8)?, Severity::new(number % 8)?)));
    let by_name = || {
        let (facility, severity) = text.split_once('.')?;
        Some((facility.parse().ok()?, severity.parse().ok()?))
    };
    by_number
        .or_else(by_name)
        .ok_or_else(|| "a facility and a severity such as user.notice, or a number from 0 to 191".to_owned())
}

/// A header field: visible ASCII without spaces, of this length at most.
pub(crate) fn word<const MAX: usize>(text: &str) -> Result<String, String> {
    if (1..=MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "1 to {MAX} visible ASCII characters without spaces are needed"
        ))
    }
}

/// Our own host name, or `-` where it cannot stand in a header.
pub(crate) fn our_hostname() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    word::<255>(name.trim()).unwrap_or_else(|_| "-".to_owned())
}

/// Where messages come from.
#[derive(Debug, Clone)]
pub(crate) enum Origin {
    Arguments(Vec<String>),
    File(PathBuf),
    Stdin,
}

/// Messages, one after the other.
#[derive(Debug)]
pub(crate) enum Messages {
    Arguments(std::vec::IntoIter<String>),
    Lines {
        lines: mpsc::Receiver<io::Result<Vec<u8>>>,
        /// For error texts.
        name: String,
        /// Of the file, where that is known.
        bytes: Option<u64>,
    },
}

impl Messages {
    pub(crate) fn open(origin: &Origin) -> anyhow::Result<Self> {
        match origin {
            Origin::Arguments(messages) => Ok(Self::Arguments(messages.clone().into_iter())),
            Origin::Stdin => Ok(Self::lines("stdin".to_owned(), None, || io::stdin().lock())),
            Origin::File(path) => {
                let name = path.display().to_string();
                let file = File::open(path).with_context(|| format!("open {name}"))?;
                let meta = file.metadata().ok().filter(Metadata::is_file);
                let bytes = meta.map(|meta| meta.len());
                Ok(Self::lines(name, bytes, || {
                    BufReader::with_capacity(FILE_BUFFER_BYTES, file)
                }))
            }
        }
    }

    /// Reads on a thread of its own, because a read from a terminal or a pipe can take for ever, and nothing can
    /// end it. If sending fails meanwhile, the thread ends with the process.
    fn lines<R: BufRead>(
        name: String,
        bytes: Option<u64>,
        open: impl FnOnce() -> R + Send + 'static,
    ) -> Self {
        let (tx, lines) = mpsc::channel(LINES_AHEAD);
        std::thread::spawn(move || {
            if let Err(error) = read_lines(open(), &tx) {
                // Nobody listens when sending has failed, and then they say why.
                drop(tx.blocking_send(Err(error)));
            }
        });
        Self::Lines { lines, name, bytes }
    }

    /// How many bytes there are, where that is known.
    pub(crate) const fn bytes(&self) -> Option<u64> {
        match self {
            Self::Arguments(_) => None,
            Self::Lines { bytes, .. } => *bytes,
        }
    }

    /// The next message; `None` after the last. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<anyhow::Result<Vec<u8>>> {
        match self {
            Self::Arguments(messages) => messages.next().map(|message| Ok(message.into_bytes())),
            Self::Lines { lines, name, .. } => {
                let line = lines.recv().await?;
                Some(line.with_context(|| format!("read {name}")))
            }
        }
    }
}

/// Empty lines are no messages.
fn read_lines(mut reader: impl BufRead, tx: &mpsc::Sender<io::Result<Vec<u8>>>) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        if (&mut reader).take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        if !line.is_empty() && tx.blocking_send(Ok(line)).is_err() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_messages() {
        let (tx, mut rx) = mpsc::channel(10);
        read_lines(&b"a\nb\r\n\n\r\nlast"[..], &tx).unwrap();
        drop(tx);
        let lines: Vec<_> = std::iter::from_fn(|| rx.blocking_recv())
            .map(Result::unwrap)
            .collect();
        assert_eq!(lines, [&b"a"[..], b"b", b"last"]);
    }

    #[test]
    fn priorities_have_names_and_numbers() {
        assert_eq!(
            priority("user.notice").map(|(f, s)| f.code() * 8 + s.code()),
            Ok(13)
        );
        assert_eq!(priority("191").map(|(f, s)| f.code() * 8 + s.code()), Ok(191));
        for bad in ["192", "user", "user.loud", ".notice", "-1", ""] {
            assert!(priority(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_message_gets_a_header() {
        let header = Header {
            facility: priority("13").unwrap().0,
            severity: priority("13").unwrap().1,
            hostname: "host".to_owned(),
            app_name: "app".to_owned(),
        };
        let mut frame = b"old".to_vec();
        header.write(&mut frame, b"hello \xff");
        let text = String::from_utf8_lossy(&frame);
        assert!(
            text.starts_with("<13>1 20") && text.contains("Z host app "),
            "{text}"
        );
        assert!(frame.ends_with(b" - - hello \xff"));
    }

    #[test]
    fn header_words_are_checked() {
        assert!(word::<5>("abcde").is_ok());
        for bad in ["", "abcdef", "a b", "a\n", "ä"] {
            assert!(word::<5>(bad).is_err(), "{bad:?}");
        }
    }
}
