//! Dead letters: what could not be processed, to be looked at, put back, taken along or dropped.
//!
//! [`serve`] does what a [`Request`] wants, next to the broker: for `logferry dead`, for the socket of `logferry run`,
//! and for the web pages. Requests and replies are plain values, so that they can pass a socket.
//!
//! ```
//! use dead::{CHANNEL, Reply, Request, Selection, serve};
//! use tokio::sync::mpsc;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let settings = settings::BrokerSettings::Embedded {
//! #     dir: dir.path().join("queues"),
//! #     queue_bytes_max: 1 << 30,
//! #     delivery_limit: 20,
//! # };
//! # let broker = broker::Broker::connect(&settings, "example").await?;
//! # broker.declare(&broker::Topology::new([])).await?;
//! let request = Request::Read { selection: Selection::default(), bodies: false };
//! let (_inputs, no_inputs) = mpsc::channel(CHANNEL);
//! let (replies, mut answers) = mpsc::channel(CHANNEL);
//! serve(request, no_inputs, replies, &broker, dir.path()).await;
//! assert!(matches!(answers.recv().await, Some(Reply::Total(0))));
//! assert!(matches!(answers.recv().await, Some(Reply::End(_))));
//! # broker.close().await;
//! # Ok(())
//! # }
//! ```

mod back;
mod contents;
mod drops;
mod error;
mod record;
mod reparse;
mod selection;
mod work;

pub use crate::{
    back::{HOLD_MAX, How, Mode, NoRate, PerSecond},
    contents::{Piece, Summary, lines, pieces, summary},
    error::RecordError,
    record::{DeathRecord, Record},
    selection::Selection,
    work::{CHANNEL, End, Input, Replies, Reply, Request, serve},
};
