//! What is done with letters: put back, with a trial first, discarded, with a reason, or held, so that acts on their group
//! pass over them. All of it is written down with who did it.

use std::collections::BTreeMap;

use ::dead::{Record, Selection};
use askama::Template;
use axum::{
    Json,
    extract::{Form, State as Extract},
    http::StatusCode,
    response::{Html, Redirect},
};
use broker::QueueName;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::{
    audit::{self, Act},
    desk::Done,
    group::Which,
    hold::{self, Holds},
};
use crate::{problem::Problem, shell::Shell, state::State};

/// How long the question about one queue may take.
const QUEUE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(2);
/// Problems that an answer names one by one.
const PROBLEMS_MAX: usize = 100;
const WHY_BYTES_MAX: usize = 500;
/// More than these are discarded only when their number is typed.
const TYPED_FROM: usize = 100;

/// What a form, or a program, wants.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Order {
    /// Of a program: these letters.
    ids: Vec<String>,
    /// Of a program: those of a group.
    group: Option<Which>,
    stage: String,
    reason: String,
    fingerprint: String,
    q: String,
    id: String,
    /// Of a program.
    dry_run: bool,
    /// Of a form: `go` after the trial.
    step: String,
    why: String,
    /// How many they are, as it was typed.
    count: String,
}

impl Order {
    fn which(&self) -> Which {
        self.group.clone().unwrap_or_else(|| Which {
            stage: self.stage.clone(),
            reason: self.reason.clone(),
            fingerprint: self.fingerprint.clone(),
            q: self.q.clone(),
            id: self.id.clone(),
        })
    }

    /// The letters that are meant and that nobody holds, and how many are held.
    async fn letters(&self, state: &State) -> Result<Meant, Problem> {
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
struct Meant {
    letters: Vec<Record>,
    /// So many are passed over.
    held: usize,
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

async fn try_out(state: &State, letters: &[Record]) -> Trial {
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
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    done: u64,
    failed: u64,
    problems: Vec<Failure>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recorded_in: Option<String>,
    /// Whether the list of acts has it.
    is_listed: bool,
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
async fn put_back(
    state: &State,
    shell: &Shell,
    order: &Order,
    letters: &[Record],
) -> Result<Outcome, Problem> {
    let done = state.desk.requeue(selection(letters)).await?;
    let act = order.act("requeue", letters, done.end.done, done.end.failed);
    Ok(Outcome {
        is_listed: audit::note(state, &shell.visitor.author(), act).await,
        ..done.into()
    })
}

/// An answer to a program.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Trial(Trial),
    Outcome(Outcome),
}

pub(super) async fn requeue(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Json<Answer>, Problem> {
    let letters = order.letters(&state).await?.letters;
    if order.dry_run {
        return Ok(Json(Answer::Trial(try_out(&state, &letters).await)));
    }
    let outcome = put_back(&state, &shell, &order, &letters).await?;
    Ok(Json(Answer::Outcome(outcome)))
}

pub(super) async fn discard(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Json<Outcome>, Problem> {
    let letters = order.letters(&state).await?.letters;
    Ok(Json(drop_all(&state, &shell, &order, &letters).await?))
}

async fn drop_all(
    state: &State,
    shell: &Shell,
    order: &Order,
    letters: &[Record],
) -> Result<Outcome, Problem> {
    let why = order.checked_why()?;
    let count = letters.len();
    if (count > TYPED_FROM || !order.count.is_empty()) && order.count.trim() != count.to_string() {
        return Err(Problem::bad_request(
            "count",
            format!("There are {count} letters. Type their number to discard them."),
        ));
    }
    let who = format!("{} (web)", shell.visitor.name());
    let done = state
        .desk
        .discard(selection(letters), who, why.to_owned(), count as u64)
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

async fn hold_all(state: &State, shell: &Shell, order: &Order) -> Result<Handled, Problem> {
    let (why, author) = (order.checked_why()?, shell.visitor.author());
    let letters = order.found(state).await?;
    let done = hold::hold(state, &letters, &author, why).await?;
    let act = order.act("hold", &letters, done, 0);
    Ok(Handled {
        done,
        is_listed: audit::note(state, &author, act).await,
    })
}

async fn release_all(state: &State, shell: &Shell, order: &Order) -> Result<Handled, Problem> {
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

/// Back to where the form was.
fn back(order: &Order) -> Redirect {
    if order.id.is_empty() {
        Redirect::to(&format!("/dead-letters?{}", order.which().params()))
    } else {
        let id: String = form_urlencoded::byte_serialize(order.id.as_bytes()).collect();
        Redirect::to(&format!("/dead-letters/{id}"))
    }
}

pub(super) async fn hold_form(
    Extract(state): Extract<State>,
    shell: Shell,
    Form(order): Form<Order>,
) -> Result<Redirect, Problem> {
    hold_all(&state, &shell, &order).await?;
    Ok(back(&order))
}

pub(super) async fn release_form(
    Extract(state): Extract<State>,
    shell: Shell,
    Form(order): Form<Order>,
) -> Result<Redirect, Problem> {
    release_all(&state, &shell, &order).await?;
    Ok(back(&order))
}

#[derive(Template)]
#[template(path = "dead/act.html")]
struct Page<'a> {
    shell: &'a Shell,
    what: &'static str,
    which: &'a Which,
    count: usize,
    /// So many of them are held, and not meant.
    held: usize,
    trial: Option<Trial>,
    outcome: Option<Outcome>,
}

impl Page<'_> {
    fn is_requeue(&self) -> bool {
        self.what == "requeue"
    }

    const fn is_typed(&self) -> bool {
        self.count > TYPED_FROM
    }

    fn answer(&self) -> Result<Html<String>, Problem> {
        Ok(Html(self.render().map_err(Problem::internal)?))
    }
}

/// The trial first, and with `step=go` the act.
pub(super) async fn requeue_form(
    Extract(state): Extract<State>,
    shell: Shell,
    Form(order): Form<Order>,
) -> Result<Html<String>, Problem> {
    let Meant { letters, held } = order.letters(&state).await?;
    let (trial, outcome) = if order.step == "go" {
        (None, Some(put_back(&state, &shell, &order, &letters).await?))
    } else {
        (Some(try_out(&state, &letters).await), None)
    };
    Page {
        shell: &shell.titled("Put back – Dead letters", "/dead-letters"),
        what: "requeue",
        which: &order.which(),
        count: letters.len(),
        held,
        trial,
        outcome,
    }
    .answer()
}

/// The question first, and with `step=go` the act.
pub(super) async fn discard_form(
    Extract(state): Extract<State>,
    shell: Shell,
    Form(order): Form<Order>,
) -> Result<Html<String>, Problem> {
    let Meant { letters, held } = order.letters(&state).await?;
    let outcome = if order.step == "go" {
        Some(drop_all(&state, &shell, &order, &letters).await?)
    } else {
        None
    };
    Page {
        shell: &shell.titled("Discard – Dead letters", "/dead-letters"),
        what: "discard",
        which: &order.which(),
        count: letters.len(),
        held,
        trial: None,
        outcome,
    }
    .answer()
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
