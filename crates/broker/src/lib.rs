//! Exchanges, queues, publish, consume, settle: on RabbitMQ (AMQP 0-9-1) and embedded (SQLite).
//!
//! All of custody's rules at the broker live here, behind one publish and one settle: a publish succeeds only
//! when the broker confirmed it and a queue took it; a delivery ends in exactly one [`Disposition`]. The types of
//! the AMQP library and of the database stay inside.
//!
//! ```
//! use broker::{Broker, Disposition, Exchange, Message, QueueName, RoutingKey, Topology};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let dir = tempfile::tempdir()?;
//! # let settings = settings::BrokerSettings::Embedded {
//! #     dir: dir.path().into(),
//! #     queue_bytes_max: 1 << 30,
//! #     delivery_limit: 20,
//! # };
//! let broker = Broker::connect(&settings, "example").await?;
//! broker.declare(&Topology::new([])).await?;
//!
//! let message = Message {
//!     id: uuid::Uuid::now_v7(),
//!     exchange: Exchange::Received,
//!     routing_key: RoutingKey::new("syslog.tcp")?,
//!     content_type: "application/octet-stream",
//!     body: "a batch".into(),
//!     death: None,
//! };
//! broker.publisher(16).publish(&message).await?.await?;
//!
//! let mut consumer = broker.consume(&QueueName::parser(), 16, "parser").await?;
//! let delivery = consumer.next().await.expect("a message was published");
//! assert_eq!(&delivery.body[..], b"a batch");
//! delivery.settle(Disposition::Ack).await;
//! broker.close().await;
//! # Ok(())
//! # }
//! ```

mod amqp;
mod backoff;
mod broker;
mod browser;
mod consumer;
mod counters;
mod delivery;
mod embedded;
mod error;
mod listening;
mod management;
mod message;
mod metrics;
mod name;
mod publisher;
mod state;
mod topology;

pub use crate::broker::Broker;
pub use crate::browser::{Browser, Fill, Place};
pub use crate::consumer::Consumer;
pub use crate::counters::{CounterSnapshot, LATENCY_BOUNDS};
pub use crate::delivery::{DeadLetter, Delivery, Disposition, EventLetter};
pub use crate::error::{
    BrowseError, Conflict, ConnectError, ConsumeError, DeclareError, NotReady, PublishError,
};
pub use crate::listening::{Backlog, Heard, Listening};
pub use crate::management::{Management, ManagementError, NodeReport, Overview, QueueReport, Report};
pub use crate::message::{Death, Letter, Message};
pub use crate::metrics::BrokerCollector;
pub use crate::name::{BindingKey, Exchange, NameError, QueueName, RoutingKey};
pub use crate::publisher::{Confirm, Publisher};
pub use crate::state::BrokerState;
pub use crate::topology::{Queue, Topology};
