//! What is done with letters: put back, with a trial first, discarded, with a reason, or held, so that acts on their group
//! pass over them. All of it is written down with who did it.

use std::collections::BTreeMap;

use ::dead::{Record, Selection};
use axum::{
    Json,
    extract::State as Extract,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use broker::QueueName;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    audit::{self, Act},
    desk::Done,
    group::Which,
    hold::{self, Holds},
    progress::{Progress, followed},
};
use crate::{problem::Problem, shell::Shell, state::State};

/// How long the question about one queue may take.
const QUEUE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
/// Problems that an answer names one by one.
const PROBLEMS_MAX: usize = 100;
const WHY_BYTES_MAX: usize = 500;
/// More than these are discarded only when their number is typed.
pub(super) const TYPED_FROM: usize = 100;

/// What a form, or a program, wants.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Order {
    /// Only these letters.
    pub(super) ids: Vec<String>,
    /// Of a program: those of a group.
    group: Option<Which>,
    pub(super) stage: String,
    pub(super) reason: String,
    pub(super) fingerprint: String,
    pub(super) q: String,
    pub(super) id: String,
    /// Of a program.
    dry_run: bool,
    /// Of a program: it wants to hear how far it is.
    progress: bool,
    /// Of a form: `go` after the trial.
    pub(super) step: String,
    pub(super) why: String,
    /// How many they are, as it was typed.
    pub(super) count: String,
}

impl Order {
    pub(super) fn which(&self) -> Which {
        self.group.clone().unwrap_or_else(|| Which {
            stage: self.stage.clone(),
            reason: self.reason.clone(),
            fingerprint: self.fingerprint.clone(),
            q: self.q.clone(),
            id: self.id.clone(),
        })
    }

    /// The letters that are meant and that nobody holds, and how many are held.
    pub(super) async fn letters(&self, state: &State) -> Result<Meant, Problem> {
        let letters = self.found(state).await?;
        let holds = Holds::load(state).await?;
        let (held, letters): (Vec<_>, Vec<_>) =
            letters.into_iter().partition(|letter| holds.of(letter).is_some());
        if letters.is_empty() {
            let why = held.iter().find_map(|letter| holds.of(letter));
            let why = why.map_or_else(String::new, |held| format!(" by {}: {}", held.author, held.why));
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "held",
                format!("Held{why}. Release what is held first."),
            ));
        }
        Ok(Meant {
            letters,
            held: held.len(),
        })
    }

    /// Why, as it is recorded.
    fn checked_why(&self) -> Result<&str, Problem> {
        let why = self.why.trim();
        if why.is_empty() || why.len() > WHY_BYTES_MAX {
            return Err(Problem::bad_request(
                "reason",
                format!("Say why in at most {WHY_BYTES_MAX} bytes: it is recorded with each letter."),
            ));
        }
        Ok(why)
    }

    /// Why so many are discarded.
    fn check_discard(&self, count: usize) -> Result<&str, Problem> {
        let why = self.checked_why()?;
        if (count > TYPED_FROM || !self.count.is_empty()) && self.count.trim() != count.to_string() {
            return Err(Problem::bad_request(
                "count",
                format!("There are {count} letters. Type their number to discard them."),
            ));
        }
        Ok(why)
    }

    /// What is written down of it.
    fn act(&self, what: &str, letters: &[Record], done: u64, failed: u64) -> Act {
        let which = self.which();
        let first = letters.first().and_then(|letter| letter.death.as_ref());
        let or_first = |said: String, found: Option<&String>| {
            if said.is_empty() {
                found.cloned().unwrap_or_default()
            } else {
                said
            }
        };
        Act {
            what: what.to_owned(),
            done,
            failed,
            stage: or_first(which.stage, first.map(|death| &death.stage)),
            reason: or_first(which.reason, first.map(|death| &death.reason)),
            why: self.why.trim().to_owned(),
            ids: selection(letters).ids,
            ..Act::default()
        }
    }

    /// The letters that are meant, as they lie there now.
    async fn found(&self, state: &State) -> Result<Vec<Record>, Problem> {
        let which = self.which();
        if self.ids.is_empty() && which.is_empty() {
            return Err(Problem::bad_request(
                "which",
                "Say which letters are meant: ids, or stage, reason or fingerprint of a group.",
            ));
        }
        let look = state.desk.look().await?;
        let is_meant = |record: &&Record| {
            let is_named = || {
                let id = record.id.map(|id| id.to_string());
                id.is_some_and(|id| self.ids.iter().any(|wanted| wanted.eq_ignore_ascii_case(&id)))
            };
            record.id.is_some() && (self.ids.is_empty() || is_named()) && which.takes(record)
        };
        let letters: Vec<_> = look.records.iter().filter(is_meant).cloned().collect();
        if letters.is_empty() {
            return Err(Problem::not_found(
                "There are no such dead letters any more. They were put back or discarded meanwhile.",
            ));
        }
        Ok(letters)
    }
}

/// Letters that something can be done with.
pub(super) struct Meant {
    pub(super) letters: Vec<Record>,
    /// So many are passed over.
    pub(super) held: usize,
}

/// By their ids. There is at least one: no ids would mean all letters.
fn selection(letters: &[Record]) -> Selection {
    let ids = letters.iter().filter_map(|record| record.id);
    Selection {
        ids: ids.map(|id| id.to_string()).collect(),
        ..Selection::default()
    }
}

/// What would become of letters that are put back.
#[derive(Debug, Default, Serialize)]
pub(super) struct Trial {
    pub(super) would_pass: usize,
    pub(super) would_fail: Vec<Failure>,
    /// Where they would go, and how many batches wait there.
    pub(super) targets: Vec<Target>,
}

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

/// The queue that a letter goes back to; `Err` says why it stays.
fn target(record: &Record) -> Result<String, String> {
    let Some(death) = &record.death else {
        return Err("where it came from is not known".to_owned());
    };
    match &*death.exchange {
        "logferry.received" => Ok("parser".to_owned()),
        // From the parser it goes through the exchange again, to whoever takes its route.
        "logferry.parsed" if death.queue == "parser" => Ok(format!("route {}", death.routing_key)),
        "logferry.parsed" => Ok(death.queue.clone()),
        _ => Err("it was a dead letter already".to_owned()),
    }
}

pub(super) async fn try_out(state: &State, letters: &[Record]) -> Trial {
    let mut trial = Trial::default();
    let mut targets: BTreeMap<String, Vec<&Record>> = BTreeMap::new();
    for record in letters {
        match target(record) {
            Ok(queue) => targets.entry(queue).or_default().push(record),
            Err(why) => trial.would_fail.push(failure(record, why)),
        }
    }
    for (queue, records) in targets {
        let asked = match QueueName::new(&queue) {
            Ok(name) => timeout(QUEUE_PATIENCE, state.desk.broker().fill(&name))
                .await
                .ok(),
            // A route is no queue.
            Err(_) => None,
        };
        if let Some(Err(broker::BrowseError::NoSuchQueue { .. })) = &asked {
            let why = format!("there is no queue {queue} any more");
            trial
                .would_fail
                .extend(records.iter().map(|record| failure(record, why.clone())));
            continue;
        }
        trial.would_pass += records.len();
        trial.targets.push(Target {
            queue,
            n: records.len(),
            waiting: asked.and_then(Result::ok).map(|fill| fill.ready),
        });
    }
    trial
}

fn failure(record: &Record, why: String) -> Failure {
    Failure {
        id: record.name(),
        why,
    }
}

/// What was done.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    pub(super) done: u64,
    pub(super) failed: u64,
    pub(super) problems: Vec<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) recorded_in: Option<String>,
    /// Whether the list of acts has it.
    pub(super) is_listed: bool,
}

impl From<Done> for Outcome {
    fn from(done: Done) -> Self {
        let problems = done.problems.into_iter().take(PROBLEMS_MAX);
        Self {
            done: done.end.done,
            failed: done.end.failed,
            problems: problems.map(|(id, why)| Failure { id, why }).collect(),
            recorded_in: done.end.recorded_in,
            is_listed: true,
        }
    }
}

/// Puts letters back, and writes it down.
pub(super) async fn put_back(
    state: &State,
    shell: &Shell,
    order: &Order,
    letters: &[Record],
    progress: &Progress,
) -> Result<Outcome, Problem> {
    let done = state.desk.requeue(selection(letters), progress).await?;
    let act = order.act("requeue", letters, done.end.done, done.end.failed);
    Ok(Outcome {
        is_listed: audit::note(state, &shell.visitor.author(), act).await,
        ..done.into()
    })
}

/// How letters are put back, or what would become of them.
pub(super) async fn requeue(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Response, Problem> {
    let letters = order.letters(&state).await?.letters;
    if order.dry_run {
        return Ok(Json(try_out(&state, &letters).await).into_response());
    }
    if order.progress {
        let ids = selection(&letters).ids;
        let of = state.clone();
        return Ok(followed(&of, letters.len(), ids, async move |progress| {
            put_back(&state, &shell, &order, &letters, &progress).await
        }));
    }
    let outcome = put_back(&state, &shell, &order, &letters, &Progress::unheard()).await?;
    Ok(Json(outcome).into_response())
}

pub(super) async fn discard(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Response, Problem> {
    let letters = order.letters(&state).await?.letters;
    if order.progress {
        order.check_discard(letters.len())?;
        let of = state.clone();
        return Ok(followed(&of, letters.len(), Vec::new(), async move |progress| {
            drop_all(&state, &shell, &order, &letters, &progress).await
        }));
    }
    let outcome = drop_all(&state, &shell, &order, &letters, &Progress::unheard()).await?;
    Ok(Json(outcome).into_response())
}

pub(super) async fn drop_all(
    state: &State,
    shell: &Shell,
    order: &Order,
    letters: &[Record],
    progress: &Progress,
) -> Result<Outcome, Problem> {
    let (why, count) = (order.check_discard(letters.len())?, letters.len() as u64);
    let who = format!("{} (web)", shell.visitor.name());
    let done = state
        .desk
        .discard(selection(letters), who, why.to_owned(), count, progress)
        .await?;
    let act = order.act("discard", letters, done.end.done, done.end.failed);
    Ok(Outcome {
        is_listed: audit::note(state, &shell.visitor.author(), act).await,
        ..done.into()
    })
}

/// What became of letters that were held or released.
#[derive(Debug, Serialize)]
pub(super) struct Handled {
    done: u64,
    is_listed: bool,
}

pub(super) async fn hold_all(state: &State, shell: &Shell, order: &Order) -> Result<Handled, Problem> {
    let (why, author) = (order.checked_why()?, shell.visitor.author());
    let letters = order.found(state).await?;
    let done = hold::hold(state, &letters, &author, why).await?;
    let act = order.act("hold", &letters, done, 0);
    Ok(Handled {
        done,
        is_listed: audit::note(state, &author, act).await,
    })
}

pub(super) async fn release_all(state: &State, shell: &Shell, order: &Order) -> Result<Handled, Problem> {
    let letters = order.found(state).await?;
    let done = hold::release(state, &letters).await?;
    let act = order.act("release", &letters, done, 0);
    Ok(Handled {
        done,
        is_listed: audit::note(state, &shell.visitor.author(), act).await,
    })
}

pub(super) async fn hold(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Json<Handled>, Problem> {
    Ok(Json(hold_all(&state, &shell, &order).await?))
}

pub(super) async fn release(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Json<Handled>, Problem> {
    Ok(Json(release_all(&state, &shell, &order).await?))
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
