//! One look, or one act, at a time: RabbitMQ holds letters while somebody looks at them, so that a second look would not
//! see them.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use ::dead::{CHANNEL, End, How, Input, Record, Reply, Request, Selection, serve};
use axum::http::StatusCode;
use broker::Broker;
use parking_lot::MutexGuard;
use tokio::{
    sync::{Mutex, OwnedMutexGuard, mpsc},
    time::timeout,
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{key::Keys, progress::Progress, trial::Failure};
use crate::problem::Problem;

mod slow;

use self::slow::Slow;

/// Letters that a look shows; of more, the oldest. They are in memory, each without its body.
pub(super) const LETTERS_MAX: usize = 5000;
/// A look that is not older is not made again.
const FRESH: Duration = Duration::from_secs(3);
/// How long a look or an act may take to its next step.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long one waits for those before.
const TURN_PATIENCE: Duration = Duration::from_secs(15);
/// And for one that takes minutes.
const SLOW_TURN_PATIENCE: Duration = Duration::from_secs(1);

/// Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    broker: Broker,
    data_dir: PathBuf,
    last: Arc<Mutex<Remembered>>,
    /// Somebody puts letters back slowly.
    is_slow: Arc<AtomicBool>,
    keys: Arc<parking_lot::Mutex<Keys>>,
    /// Acts that nobody needs to wait for.
    tasks: TaskTracker,
}

/// What a look saw.
#[derive(Debug, Default)]
pub(super) struct Look {
    /// Without bodies, the oldest first: those that have what was looked for.
    pub(super) records: Vec<Record>,
    /// How many letters there are in all.
    pub(super) total: u64,
    /// How many of them were looked at.
    pub(super) seen: u64,
    /// Letters that somebody else holds.
    pub(super) missing: u64,
}

/// What was done.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) end: End,
    /// Letters that stay, and why.
    pub(super) problems: Vec<Stays>,
}

/// A letter that stays.
#[derive(Debug)]
pub(super) struct Stays {
    pub(super) failure: Failure,
    /// The broker may have taken it all the same.
    pub(super) is_uncertain: bool,
}

type Last = OwnedMutexGuard<Remembered>;

/// The last look: when it was, and what was looked for.
type Remembered = Option<(Instant, String, Arc<Look>)>;

impl Look {
    /// Whether it saw all letters.
    pub(super) const fn is_whole(&self) -> bool {
        self.seen == self.total
    }
}

impl Desk {
    pub(crate) fn new(broker: Broker, data_dir: PathBuf) -> Self {
        Self {
            broker,
            data_dir,
            last: Arc::default(),
            is_slow: Arc::default(),
            keys: Arc::default(),
            tasks: TaskTracker::new(),
        }
    }

    /// Goes on with an act when whoever wanted it is gone.
    pub(super) fn spawn(&self, act: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(act);
    }

    /// Until all acts are over; no others begin.
    pub(crate) async fn finish(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    pub(super) const fn broker(&self) -> &Broker {
        &self.broker
    }

    /// Orders with keys.
    pub(super) fn keys(&self) -> MutexGuard<'_, Keys> {
        self.keys.lock()
    }

    /// All letters, as far as they are shown, or those with this text.
    pub(super) async fn look(&self, text: &str) -> Result<Arc<Look>, Problem> {
        let text = text.trim().to_lowercase();
        let mut last = self.turn().await?;
        if let Some((at, of, look)) = &*last
            && at.elapsed() < FRESH
            && *of == text
        {
            return Ok(Arc::clone(look));
        }
        let texts = (!text.is_empty()).then(|| text.clone());
        let request = Request::Read {
            selection: Selection {
                texts: texts.into_iter().collect(),
                ..Selection::default()
            },
            bodies: false,
        };
        let mut look = Look::default();
        let mut work = self.begin(request, None)?;
        loop {
            match work.next().await? {
                Reply::Total(total) => look.total = total,
                Reply::Letter(record) if look.records.len() < LETTERS_MAX => look.records.push(*record),
                // Enough is seen; those that are held go back when the work ends.
                Reply::Letter(_) => {
                    look.seen = look.seen.max(look.records.len() as u64);
                    break;
                }
                Reply::End(end) => {
                    look.missing = end.missing;
                    look.seen = look.total - end.missing;
                    break;
                }
                Reply::Seen(seen) => look.seen = seen,
                Reply::Found(_) | Reply::Done { .. } | Reply::Problem { .. } | Reply::Failed(_) => {}
            }
        }
        work.finish().await;
        let look = Arc::new(look);
        *last = Some((Instant::now(), text, Arc::clone(&look)));
        Ok(look)
    }

    /// One letter, with its body.
    pub(super) async fn letter(&self, id: &str) -> Result<Record, Problem> {
        let _turn = self.turn().await?;
        let request = Request::Read {
            selection: Selection {
                ids: vec![id.to_ascii_lowercase()],
                ..Selection::default()
            },
            bodies: true,
        };
        let mut work = self.begin(request, None)?;
        let found = loop {
            match work.next().await? {
                Reply::Letter(record) => break Some(*record),
                Reply::End(_) => break None,
                _ => {}
            }
        };
        work.finish().await;
        found.ok_or_else(|| {
            Problem::not_found(
                "There is no such dead letter. It was put back or discarded, or somebody else looks at it at this moment.",
            )
        })
    }

    /// Letters with their bodies, one after the other. They are held until this is dropped or done.
    pub(super) async fn export(&self, selection: Selection) -> Result<Export, Problem> {
        let turn = self.turn().await?;
        let request = Request::Read {
            selection,
            bodies: true,
        };
        Ok(Export {
            work: self.begin(request, None)?,
            _turn: turn,
        })
    }

    /// Puts letters back.
    pub(super) async fn requeue(
        &self,
        selection: Selection,
        how: How,
        progress: &Progress,
    ) -> Result<Done, Problem> {
        self.act(Request::Requeue { selection, how }, None, progress)
            .await
    }

    /// Which letters could go back so.
    pub(super) async fn try_out(&self, selection: Selection, how: How) -> Result<Done, Problem> {
        let request = Request::Try { selection, how };
        self.act(request, None, &Progress::unheard()).await
    }

    /// Drops letters for good, if they are as many as `expected`.
    pub(super) async fn discard(
        &self,
        selection: Selection,
        who: String,
        why: String,
        expected: u64,
        progress: &Progress,
    ) -> Result<Done, Problem> {
        let request = Request::Drop {
            selection,
            who,
            why: Some(why),
        };
        self.act(request, Some(expected), progress).await
    }

    async fn act(
        &self,
        request: Request,
        expected: Option<u64>,
        progress: &Progress,
    ) -> Result<Done, Problem> {
        let mut last = self.turn().await?;
        *last = None;
        let is_slow = matches!(&request, Request::Requeue { how, .. } if how.per_second.is_some());
        let _slow = is_slow.then(|| Slow::begin(&self.is_slow));
        let (inputs, inputs_out) = mpsc::channel(CHANNEL);
        let mut inputs = Some(inputs);
        let mut work = self.begin(request, Some(inputs_out))?;
        let mut done = Done::default();
        loop {
            match work.next().await? {
                Reply::Problem {
                    name,
                    text,
                    is_uncertain,
                } => done.problems.push(Stays {
                    failure: Failure { id: name, why: text },
                    is_uncertain,
                }),
                Reply::Found(found) => {
                    let inputs = inputs.take();
                    if expected != Some(found) {
                        // Without the word nothing is dropped.
                        drop(inputs);
                        work.finish().await;
                        return Err(Problem::new(
                            StatusCode::CONFLICT,
                            "changed",
                            format!("There are {found} such letters now. Nothing was done; look again."),
                        ));
                    }
                    if let Some(inputs) = inputs {
                        // Should it have ended, it says so itself.
                        drop(inputs.send(Input::Go).await);
                    }
                }
                Reply::End(end) => {
                    done.end = end;
                    break;
                }
                Reply::Done { done, failed } => progress.tell(done, failed),
                // After the word, letters that are dropped.
                Reply::Seen(dropped) if inputs.is_none() => progress.tell(dropped, 0),
                Reply::Total(_) | Reply::Seen(_) | Reply::Letter(_) | Reply::Failed(_) => {}
            }
        }
        work.finish().await;
        Ok(done)
    }

    async fn turn(&self) -> Result<Last, Problem> {
        let (patience, text) = if self.is_slow.load(Ordering::Relaxed) {
            let text = "Dead letters are put back slowly at this moment, which takes up to 15 minutes. Nobody else can look at them meanwhile.";
            (SLOW_TURN_PATIENCE, text)
        } else {
            (
                TURN_PATIENCE,
                "Somebody else works with the dead letters at this moment.",
            )
        };
        timeout(patience, Arc::clone(&self.last).lock_owned())
            .await
            .map_err(|_elapsed| Problem::too_many(text, 5))
    }

    fn begin(&self, request: Request, inputs: Option<mpsc::Receiver<Input>>) -> Result<Work, Problem> {
        if let Some(problem) = self.away() {
            return Err(problem);
        }
        let inputs = inputs.unwrap_or_else(|| mpsc::channel(1).1);
        let (replies_in, replies) = mpsc::channel(CHANNEL);
        let (broker, data_dir) = (self.broker.clone(), self.data_dir.clone());
        let task = tokio::spawn(async move {
            serve(request, inputs, replies_in, &broker, &data_dir).await;
        });
        Ok(Work {
            replies: Some(replies),
            task: AbortOnDropHandle::new(task),
        })
    }

    fn away(&self) -> Option<Problem> {
        let state = self.broker.state();
        let state = state.borrow();
        match &*state {
            broker::BrokerState::Ready | broker::BrokerState::Blocked { .. } => None,
            broker::BrokerState::Connecting { .. } | broker::BrokerState::Closed => Some(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "broker_unavailable",
                format!(
                    "The broker, which has the dead letters, is away ({}). They are safe, and shown when it is back.",
                    *state
                ),
            )),
        }
    }
}

/// Something under way.
struct Work {
    replies: Option<mpsc::Receiver<Reply>>,
    task: AbortOnDropHandle<()>,
}

impl Work {
    async fn next(&mut self) -> Result<Reply, Problem> {
        let Some(replies) = &mut self.replies else {
            return Err(Problem::internal("a look that had ended"));
        };
        match timeout(PATIENCE, replies.recv()).await {
            Ok(Some(Reply::Failed(text))) => Err(Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "dead_letters_unavailable",
                format!("It could not be done, or not to its end: {text}"),
            )),
            Ok(Some(reply)) => Ok(reply),
            Ok(None) => Err(Problem::internal("work on dead letters ended without an answer")),
            Err(_elapsed) => Err(Problem::new(
                StatusCode::GATEWAY_TIMEOUT,
                "too_slow",
                "It took too long and was ended. What was done until then is done; look again.",
            )),
        }
    }

    /// Waits until letters that were held are given back.
    async fn finish(mut self) {
        self.replies = None;
        // Cut off, the connection gives them back.
        let _is_done = timeout(PATIENCE, &mut self.task).await.is_ok();
    }
}

/// Letters on their way out.
pub(super) struct Export {
    work: Work,
    _turn: Last,
}

impl Export {
    /// The next letter; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<Result<Record, Problem>> {
        loop {
            match self.work.next().await {
                Ok(Reply::Letter(record)) => return Some(Ok(*record)),
                Ok(Reply::End(_)) => return None,
                Ok(_) => {}
                Err(problem) => return Some(Err(problem)),
            }
        }
    }
}
