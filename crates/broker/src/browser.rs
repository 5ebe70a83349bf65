//! Looking at the messages of a queue where they are.

use crate::{amqp, embedded, error::BrowseError, message::Letter};

/// A walk over the messages of one queue, from the oldest on, that takes none of them away but those that
/// [`Self::remove`] is told to.
///
/// The embedded broker reads them from its file. RabbitMQ cannot show messages: they are delivered and held, so
/// that nobody else sees them meanwhile, and go back to their place when the walk ends, however it ends. Each walk
/// raises their delivery count by one, so it is for a queue without a delivery limit. Of more than 4,096 messages
/// each so many stay together, but may change places with others.
#[derive(Debug)]
pub struct Browser {
    kind: Kind,
    total: u64,
    seen: u64,
}

#[derive(Debug)]
enum Kind {
    Amqp(Box<amqp::Browser>),
    Embedded(embedded::Browser),
}

/// Where a message stands, for as long as the walk lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place(pub(crate) u64);

/// How full a queue is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fill {
    /// Messages that wait to be delivered.
    pub ready: u64,
    /// The bytes of all its messages, where the broker tells it: AMQP has no way to.
    pub bytes: Option<u64>,
    /// Who consumes it.
    pub consumers: u32,
}

impl Browser {
    pub(crate) fn amqp(browser: amqp::Browser, total: u64) -> Self {
        let kind = Kind::Amqp(Box::new(browser));
        Self { kind, total, seen: 0 }
    }

    pub(crate) fn embedded(browser: embedded::Browser, total: u64) -> Self {
        let kind = Kind::Embedded(browser);
        Self { kind, total, seen: 0 }
    }

    /// How many messages there were at the start. The walk ends after so many: what comes in meanwhile is left
    /// for the next one.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many of them [`Self::next`] has given.
    #[must_use]
    pub const fn seen(&self) -> u64 {
        self.seen
    }

    /// The next message. `None` at the end, or when somebody else took the rest.
    ///
    /// # Errors
    ///
    /// [`BrowseError::Lost`]: the walk is over, and what was not removed is in the queue.
    pub async fn next(&mut self) -> Result<Option<(Place, Letter)>, BrowseError> {
        if self.seen >= self.total {
            return Ok(None);
        }
        let next = match &mut self.kind {
            Kind::Amqp(browser) => browser.next().await?,
            Kind::Embedded(browser) => browser.next().await?,
        };
        if next.is_some() {
            self.seen += 1;
        }
        Ok(next)
    }

    /// Takes messages out of the queue. With RabbitMQ they are out for certain when [`Self::close`] says so.
    ///
    /// # Errors
    ///
    /// [`BrowseError::Lost`]: some of them may still be in the queue.
    pub async fn remove(&mut self, places: &[Place]) -> Result<(), BrowseError> {
        match &mut self.kind {
            Kind::Amqp(browser) => browser.remove(places).await,
            Kind::Embedded(browser) => browser.remove(places).await,
        }
    }

    /// Ends the walk; dropping it ends it, too, but does not tell whether everything was removed.
    ///
    /// # Errors
    ///
    /// [`BrowseError::Lost`]: some of what was removed may still be in the queue.
    pub async fn close(self) -> Result<(), BrowseError> {
        match self.kind {
            Kind::Amqp(browser) => browser.close().await,
            Kind::Embedded(_) => Ok(()),
        }
    }
}
