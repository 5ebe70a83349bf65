//! What is done with dead letters, by whoever has the broker.

use std::path::Path;

use broker::{Broker, Browser, Letter, Place, Publisher, QueueName};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::{
    back::{self, How},
    drops::Drops,
    error::WorkError,
    record::Record,
    selection::Selection,
};

/// Letters that are put back, or dropped, together: so many are in memory, and a kill in the middle repeats.
pub(crate) const GROUP: usize = 64;
/// Progress is told after so many letters.
const PROGRESS: u64 = 256;
/// Between the work and whoever waits for it.
pub const CHANNEL: usize = 64;

/// What is wanted.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Request {
    /// To see them.
    Read {
        /// Which.
        selection: Selection,
        /// With what is in them.
        bodies: bool,
    },
    /// To put them back to where they came from.
    Requeue {
        /// Which.
        selection: Selection,
        /// In which way.
        #[serde(default)]
        how: How,
    },
    /// To know which of them could go back so. [`Reply::Problem`] tells of each other one, and nothing is done.
    Try {
        /// Which.
        selection: Selection,
        /// In which way.
        how: How,
    },
    /// To drop them, when [`Input::Go`] comes after [`Reply::Found`].
    Drop {
        /// Which.
        selection: Selection,
        /// Who wants it, for the record.
        who: String,
        /// Why, for the record.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// To make dead letters of what follows.
    Import,
}

/// What follows a request.
#[derive(Debug, Serialize, Deserialize)]
pub enum Input {
    /// A letter to import.
    Record(Box<Record>),
    /// The letters that were found are to be dropped.
    Go,
}

/// What comes back.
#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// How many letters there are in all.
    Total(u64),
    /// How many of them were looked at so far.
    Seen(u64),
    /// One of those that are meant.
    Letter(Box<Record>),
    /// So many are about to be dropped.
    Found(u64),
    /// How far putting back is.
    Done {
        /// Letters that went back.
        done: u64,
        /// And that stay.
        failed: u64,
    },
    /// Something went wrong with one of them, which stays what it is.
    Problem {
        /// Its id.
        name: String,
        /// What went wrong.
        text: String,
        /// Whether the broker may have taken it all the same.
        #[serde(default)]
        is_uncertain: bool,
    },
    /// It was done.
    End(End),
    /// It could not be done, or not to its end.
    Failed(String),
}

/// How it ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// Letters that the work was done with.
    pub done: u64,
    /// And with which it could not be done.
    pub failed: u64,
    /// Letters that were there and were not seen: somebody else holds them.
    pub missing: u64,
    /// Somebody else was there already.
    pub has_company: bool,
    /// It was ended after [`HOLD_MAX`](crate::HOLD_MAX), and what it had not come to stays.
    #[serde(default)]
    pub ran_out: bool,
    /// Where drops are recorded.
    pub recorded_in: Option<String>,
}

/// Where replies go. Whoever waits may go away; then the work ends.
pub type Replies = mpsc::Sender<Reply>;

/// Does what is wanted, and says how it ended.
pub async fn serve(
    request: Request,
    mut inputs: mpsc::Receiver<Input>,
    replies: Replies,
    broker: &Broker,
    data_dir: &Path,
) {
    let done = match request {
        Request::Read { selection, bodies } => read(broker, &selection, bodies, &replies).await,
        Request::Requeue { selection, how } => back::requeue(broker, &selection, how, &replies).await,
        Request::Try { selection, how } => back::try_out(broker, &selection, how, &replies).await,
        Request::Drop { selection, who, why } => {
            let order = Order { who, why, data_dir };
            drop_letters(broker, &selection, &order, &mut inputs, &replies).await
        }
        Request::Import => import(broker, &mut inputs, &replies).await,
    };
    let last = match done {
        Ok(end) => Reply::End(end),
        Err(error) => Reply::Failed(error.to_string()),
    };
    // Nobody may be there any more to hear it.
    drop(replies.send(last).await);
}

pub(crate) async fn tell(replies: &Replies, reply: Reply) -> Result<(), WorkError> {
    if replies.send(reply).await.is_err() {
        return Err(WorkError::Gone);
    }
    Ok(())
}

/// A walk over all dead letters, with the count of what was seen.
pub(crate) struct Walk<'a> {
    pub(crate) browser: Browser,
    selection: &'a Selection,
    replies: &'a Replies,
    has_company: bool,
}

impl<'a> Walk<'a> {
    pub(crate) async fn begin(
        broker: &Broker,
        selection: &'a Selection,
        replies: &'a Replies,
    ) -> Result<Self, WorkError> {
        let queue = QueueName::dead();
        let fill = broker.fill(&queue).await?;
        let browser = broker.browse(&queue).await?;
        tell(replies, Reply::Total(browser.total())).await?;
        Ok(Self {
            browser,
            selection,
            replies,
            has_company: fill.consumers > 0,
        })
    }

    /// The next letter that is meant.
    pub(crate) async fn next(&mut self) -> Result<Option<(Place, Letter)>, WorkError> {
        while let Some((place, letter)) = self.browser.next().await? {
            if self.browser.seen().is_multiple_of(PROGRESS) {
                tell(self.replies, Reply::Seen(self.browser.seen())).await?;
            }
            if self.selection.takes(&letter) {
                return Ok(Some((place, letter)));
            }
        }
        Ok(None)
    }

    pub(crate) async fn end(self, mut end: End) -> Result<End, WorkError> {
        end.missing = self.browser.total() - self.browser.seen();
        end.has_company = self.has_company;
        self.browser.close().await?;
        Ok(end)
    }
}

async fn read(
    broker: &Broker,
    selection: &Selection,
    bodies: bool,
    replies: &Replies,
) -> Result<End, WorkError> {
    let mut walk = Walk::begin(broker, selection, replies).await?;
    let mut end = End::default();
    while let Some((_, letter)) = walk.next().await? {
        let record = Box::new(Record::of(&letter, bodies));
        tell(replies, Reply::Letter(record)).await?;
        end.done += 1;
    }
    walk.end(end).await
}

/// Who drops letters, why, and where that is recorded.
struct Order<'a> {
    who: String,
    why: Option<String>,
    data_dir: &'a Path,
}

/// Finds them, waits for the word, records them, and takes them out.
async fn drop_letters(
    broker: &Broker,
    selection: &Selection,
    order: &Order<'_>,
    inputs: &mut mpsc::Receiver<Input>,
    replies: &Replies,
) -> Result<End, WorkError> {
    let mut drops = Drops::open(order.data_dir)?;
    let mut end = End {
        recorded_in: Some(drops.path().display().to_string()),
        ..End::default()
    };
    let mut walk = Walk::begin(broker, selection, replies).await?;
    let mut found = Vec::new();
    while let Some((place, letter)) = walk.next().await? {
        found.push((place, Record::of(&letter, false)));
    }
    tell(replies, Reply::Found(found.len() as u64)).await?;
    if !matches!(inputs.recv().await, Some(Input::Go)) {
        return walk.end(end).await;
    }
    while !found.is_empty() {
        let group: Vec<_> = found.drain(..found.len().min(GROUP)).collect();
        let (places, records): (Vec<_>, Vec<_>) = group.into_iter().unzip();
        let (who, why) = (order.who.clone(), order.why.clone());
        let note = move || drops.note(&who, why.as_deref(), &records).map(|()| drops);
        drops = tokio::task::spawn_blocking(note).await??;
        walk.browser.remove(&places).await?;
        end.done += places.len() as u64;
        tell(replies, Reply::Seen(end.done)).await?;
    }
    tracing::warn!(
        letters = end.done,
        who = order.who,
        why = order.why,
        recorded_in = end.recorded_in,
        "dead letters dropped"
    );
    walk.end(end).await
}

async fn import(
    broker: &Broker,
    inputs: &mut mpsc::Receiver<Input>,
    replies: &Replies,
) -> Result<End, WorkError> {
    let publisher: Publisher = broker.publisher(GROUP);
    let mut end = End::default();
    let mut is_over = false;
    while !is_over {
        let mut confirms = Vec::new();
        while confirms.len() < GROUP {
            let Some(input) = inputs.recv().await else {
                is_over = true;
                break;
            };
            let Input::Record(record) = input else { continue };
            let publish = publisher.bury(&record.letter()?).await;
            confirms.push(publish.map_err(|error| WorkError::Bury {
                safe: end.done,
                error,
            })?);
        }
        for confirm in confirms {
            let safe = end.done;
            confirm.await.map_err(|error| WorkError::Bury { safe, error })?;
            end.done += 1;
        }
        tell(replies, Reply::Seen(end.done)).await?;
    }
    Ok(end)
}
