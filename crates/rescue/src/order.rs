//! The rescue queues in the order of the settings.

use std::{fmt, sync::Arc};

use settings::{RescueKind, RescueSettings};

use crate::{
    batch::Batch,
    error::RescueError,
    queue::{Guarantee, Queue},
};

/// The rescue queues in the order of the settings. Clones are handles to the same queues.
#[derive(Debug, Clone)]
pub struct Rescue {
    queues: Arc<[Queue]>,
}

/// Who has a batch now, and what that promises.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rescued {
    /// Which queue took it.
    pub queue: RescueKind,
    /// What it promises.
    pub guarantee: Guarantee,
}

/// No queue took a batch. Some may have it all the same, when no answer came in time.
#[derive(Debug)]
pub struct NotRescued {
    /// What each queue said, in their order.
    pub problems: Vec<RescueError>,
}

impl Rescue {
    /// Opens the queues that intake uses. Connections are made, and made again, in the background; what cannot be
    /// used at present is told by the queues' [state](Queue::state).
    ///
    /// # Errors
    ///
    /// [`RescueError::Url`], which never mends itself.
    pub fn open(settings: &RescueSettings) -> Result<Self, RescueError> {
        Self::of(settings, &settings.order)
    }

    /// Opens the queues in which batches may wait, whether intake uses them still or not.
    ///
    /// # Errors
    ///
    /// [`RescueError::Url`], which never mends itself.
    pub fn open_all(settings: &RescueSettings) -> Result<Self, RescueError> {
        let mut kinds = Vec::new();
        if settings.redis.is_some() {
            kinds.push(RescueKind::Redis);
        }
        if settings.order.contains(&RescueKind::File) || crate::file::is_there(&settings.file) {
            kinds.push(RescueKind::File);
        }
        Self::of(settings, &kinds)
    }

    fn of(settings: &RescueSettings, kinds: &[RescueKind]) -> Result<Self, RescueError> {
        let queues: Result<Vec<_>, _> = kinds
            .iter()
            .filter_map(|kind| Queue::open(settings, *kind).transpose())
            .collect();
        Ok(Self {
            queues: queues?.into(),
        })
    }

    /// Gives `batch` to the first queue that takes it. Pushed twice, it is there twice, with the same id.
    ///
    /// # Errors
    ///
    /// [`NotRescued`] with what each queue said.
    pub async fn push(&self, batch: &Batch) -> Result<Rescued, NotRescued> {
        let mut problems = Vec::new();
        for queue in &*self.queues {
            match queue.push(batch).await {
                Ok(guarantee) => {
                    let queue = queue.kind();
                    return Ok(Rescued { queue, guarantee });
                }
                Err(error) => problems.push(error),
            }
        }
        Err(NotRescued { problems })
    }

    /// The queues, in their order.
    #[must_use]
    pub fn queues(&self) -> &[Queue] {
        &self.queues
    }

    /// Ends the queues for all clones. What was asked of them is done first, or not at all.
    pub async fn close(self) {
        for queue in &*self.queues {
            queue.close().await;
        }
    }
}

impl fmt::Display for NotRescued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.problems.is_empty() {
            return f.write_str("there is no rescue queue (rescue.order)");
        }
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for NotRescued {}
