//! What would become of letters that are put back.

use std::{collections::BTreeMap, time::Duration};

use ::dead::{Mode, Record};
use broker::QueueName;
use serde::Serialize;
use tokio::time::timeout;

use super::{
    order::{Order, selection},
    sent::Sent,
};
use crate::{problem::Problem, state::State};

/// How long the question about one queue may take.
const QUEUE_PATIENCE: Duration = Duration::from_secs(2);

/// Letters that stay, which a page names one by one.
const FAILURES_SHOWN: usize = 100;

/// What would become of them.
#[derive(Debug, Default, Serialize)]
pub(super) struct Trial {
    pub(super) would_pass: usize,
    pub(super) would_fail: Vec<Failure>,
    /// Where they would go, and how many batches wait there.
    pub(super) targets: Vec<Target>,
}

/// A letter that stays, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    pub(super) id: String,
    pub(super) why: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Target {
    pub(super) queue: String,
    pub(super) n: usize,
    /// Null when it is unknown.
    pub(super) waiting: Option<u64>,
}

pub(super) async fn try_out(state: &State, order: &Order, letters: &[Record]) -> Result<Trial, Problem> {
    match order.mode {
        Mode::AsIs => as_is(state, letters).await,
        Mode::Reparse => reparse(state, order, letters).await,
    }
}

/// The queue that a letter goes back to; `Err` says why it stays.
fn target(record: &Record) -> Result<String, String> {
    let Some(death) = &record.death else {
        return Err("where it came from is not known".to_owned());
    };
    match &*death.exchange {
        "logferry.received" => Ok(QueueName::parser().to_string()),
        // From the parser it goes through the exchange again, to whoever takes its route.
        "logferry.parsed" if death.queue == "parser" => Ok(format!("route {}", death.routing_key)),
        "logferry.parsed" => Ok(death.queue.clone()),
        _ => Err("it was a dead letter already".to_owned()),
    }
}

async fn as_is(state: &State, letters: &[Record]) -> Result<Trial, Problem> {
    let sent = Sent::load(state).await?;
    let mut trial = Trial::default();
    let mut targets: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    for record in letters {
        match sent.check(record).and_then(|()| target(record)) {
            Ok(queue) => targets.entry(queue).or_default().push(record),
            Err(why) => trial.would_fail.push(failure(record, why)),
        }
    }
    for (queue, records) in targets {
        match waiting(state, &queue).await {
            Waiting::NoQueue => {
                let why = format!("there is no queue {queue} any more");
                let stay = records.iter().map(|record| failure(record, why.clone()));
                trial.would_fail.extend(stay);
            }
            Waiting::Known(waiting) => trial.go(queue, records.len(), waiting),
        }
    }
    Ok(trial)
}

/// Asks for what is in them, as the act does.
async fn reparse(state: &State, order: &Order, letters: &[Record]) -> Result<Trial, Problem> {
    let done = state.desk.try_out(selection(letters), order.how()).await?;
    let mut trial = Trial {
        would_fail: done.problems.into_iter().map(|stays| stays.failure).collect(),
        ..Trial::default()
    };
    let n = usize::try_from(done.end.done).unwrap_or(usize::MAX);
    if n > 0 {
        let queue = QueueName::parser().to_string();
        if let Waiting::Known(waiting) = waiting(state, &queue).await {
            trial.go(queue, n, waiting);
        }
    }
    Ok(trial)
}

impl Trial {
    /// Of the letters that stay, as many as a page names.
    pub(super) fn shown(&self) -> &[Failure] {
        self.would_fail.get(..FAILURES_SHOWN).unwrap_or(&self.would_fail)
    }

    fn go(&mut self, queue: String, n: usize, waiting: Option<u64>) {
        self.would_pass += n;
        self.targets.push(Target { queue, n, waiting });
    }
}

enum Waiting {
    NoQueue,
    Known(Option<u64>),
}

async fn waiting(state: &State, queue: &str) -> Waiting {
    // A route is no queue.
    let Ok(name) = QueueName::new(queue) else {
        return Waiting::Known(None);
    };
    match timeout(QUEUE_PATIENCE, state.desk.broker().fill(&name)).await {
        Ok(Err(broker::BrowseError::NoSuchQueue { .. })) => Waiting::NoQueue,
        Ok(Ok(fill)) => Waiting::Known(Some(fill.ready)),
        Ok(Err(_)) | Err(_) => Waiting::Known(None),
    }
}

pub(super) fn failure(record: &Record, why: String) -> Failure {
    Failure {
        id: record.name(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::{super::group::tests::record, *};

    #[test]
    fn letters_go_back_to_where_they_came_from() {
        let mut letter = record(1, "shipper-pgsql", "x");
        assert_eq!(target(&letter).as_deref(), Ok("shipper-pgsql"));
        let death = letter.death.as_mut().unwrap();
        death.queue = "parser".to_owned();
        assert_eq!(target(&letter).as_deref(), Ok("route default"));
        letter.death.as_mut().unwrap().exchange = "logferry.received".to_owned();
        assert_eq!(target(&letter).as_deref(), Ok("parser"));
        letter.death.as_mut().unwrap().exchange = "logferry.dead".to_owned();
        assert!(target(&letter).is_err());
        letter.death = None;
        assert!(target(&letter).is_err());
    }
}
