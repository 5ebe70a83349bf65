//! The rescue queues: where batches wait while the broker is away.
//!
//! There are two kinds, a stream in Redis and a local file, with one set of operations ([`Queue`]): push a batch,
//! claim the oldest, remove what has reached the broker, release what has not. A push returns when the batch is
//! as durable as the settings demand, and says what is promised ([`Guarantee`]); both kinds are bounded. Several
//! processes may push and claim at the same time. A claim that is neither removed nor released ends by itself,
//! and the batch is claimed again: whoever returns batches may do so twice, and the batch id makes that harmless.
//!
//! [`Rescue`] is the queues in the order of the settings; a push goes to the first that takes it. Only this crate
//! names fred.
//!
//! ```
//! use std::time::Duration;
//!
//! use rescue::{Batch, Rescue};
//! use settings::RescueKind;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let mut settings = settings::Settings::default().rescue;
//! # settings.file.dir = dir.path().into();
//! let rescue = Rescue::open(&settings)?;
//! let batch = Batch {
//!     id: uuid::Uuid::now_v7(),
//!     routing_key: "syslog.tcp".into(),
//!     content_type: "application/octet-stream".into(),
//!     body: "a batch".into(),
//! };
//! assert_eq!(rescue.push(&batch).await?.queue, RescueKind::File);
//!
//! let queue = rescue.queues().first().expect("the file is there without any settings");
//! for claimed in queue.claim(16, Duration::from_secs(60)).await? {
//!     assert_eq!(claimed.content.as_ref().expect("it is intact"), &batch);
//!     // When the broker has confirmed it:
//!     queue.remove(&[claimed.receipt]).await?;
//! }
//! # rescue.close().await;
//! # Ok(())
//! # }
//! ```

mod backoff;
mod batch;
mod check;
mod error;
mod file;
mod order;
mod queue;
mod redis;

pub use crate::batch::{Batch, Claimed, Damaged, Receipt};
pub use crate::check::check;
pub use crate::error::RescueError;
pub use crate::order::{NotRescued, Rescue, Rescued};
pub use crate::queue::{Depth, Guarantee, Queue, QueueState};
