//! What is done with letters: put back, with a trial first, discarded, with a reason, or held, so that acts on their group
//! pass over them. All of it is written down with who did it.

use ::dead::{Mode, Record};
use axum::{
    Json,
    extract::State as Extract,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde::Serialize;

use super::{
    audit,
    desk::Done,
    hold,
    key::Name,
    order::{Order, selection},
    progress::{Progress, Told, followed},
    sent::{self, Sent},
    trial::{Failure, failure, try_out},
};
use crate::{problem::Problem, shell::Shell, state::State};

/// Problems that an answer names one by one.
const PROBLEMS_MAX: usize = 100;

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

impl Outcome {
    fn of(done: Done, stay: Vec<Failure>, is_listed: bool) -> Self {
        let problems = done.problems.into_iter().map(|stays| stays.failure);
        Self {
            done: done.end.done,
            failed: done.end.failed + stay.len() as u64,
            problems: stay.into_iter().chain(problems).take(PROBLEMS_MAX).collect(),
            recorded_in: done.end.recorded_in,
            is_listed,
        }
    }
}

/// What takes letters away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Requeue,
    Discard,
}

impl What {
    const fn word(self) -> &'static str {
        match self {
            Self::Requeue => "requeue",
            Self::Discard => "discard",
        }
    }

    /// Does it, and gives the letters that may come back.
    async fn be_done(
        self,
        state: &State,
        shell: &Shell,
        order: &Order,
        progress: &Progress,
    ) -> Result<(Outcome, Vec<String>), Problem> {
        let letters = order.letters(state).await?.letters;
        match self {
            Self::Requeue => {
                order.check_time(letters.len())?;
                progress.begin(letters.len());
                let outcome = put_back(state, shell, order, &letters, progress).await?;
                Ok((outcome, selection(&letters).ids))
            }
            Self::Discard => {
                order.check_discard(letters.len())?;
                progress.begin(letters.len());
                let outcome = drop_all(state, shell, order, &letters, progress).await?;
                Ok((outcome, Vec::new()))
            }
        }
    }

    /// Does it whether somebody waits or not; what has a key once.
    fn begun(self, state: State, shell: Shell, order: Order) -> Result<Told, Problem> {
        let name = Name::of(&order, self.word(), shell.visitor.author())?;
        let desk = state.desk.clone();
        let begin = move || {
            let of = state.clone();
            followed(&of, async move |progress| {
                self.be_done(&state, &shell, &order, &progress).await
            })
        };
        match name {
            Some(name) => desk.keys().told(name, begin),
            None => Ok(begin()),
        }
    }

    /// Does it. Without a key it ends where it stands when whoever wants it goes away.
    pub(super) async fn outcome(self, state: State, shell: Shell, order: Order) -> Result<Outcome, Problem> {
        if order.key.is_empty() {
            let done = self.be_done(&state, &shell, &order, &Progress::unheard()).await?;
            return Ok(done.0);
        }
        self.begun(state, shell, order)?.outcome().await
    }

    async fn answer(self, state: State, shell: Shell, order: Order) -> Result<Response, Problem> {
        if order.progress {
            return self.begun(state, shell, order)?.lines().await;
        }
        let outcome = self.outcome(state, shell, order).await?;
        Ok(Json(outcome).into_response())
    }
}

/// Puts letters back, and writes it down.
async fn put_back(
    state: &State,
    shell: &Shell,
    order: &Order,
    letters: &[Record],
    progress: &Progress,
) -> Result<Outcome, Problem> {
    let author = shell.visitor.author();
    let (done, stay, what) = match order.mode {
        Mode::AsIs => {
            let (letters, stay) = unsent(state, letters).await?;
            let requeued = state.desk.requeue(selection(&letters), order.how(), progress);
            (requeued.await?, stay, "requeue")
        }
        Mode::Reparse => {
            sent::begin(state, letters, &author).await?;
            let requeued = state.desk.requeue(selection(letters), order.how(), progress);
            let done = requeued.await?;
            if let Err(problem) = sent::end(state, letters, &done.problems).await {
                tracing::warn!(
                    error = problem.detail(),
                    "letters stay written down as sent to the parser"
                );
            }
            (done, Vec::new(), "reparse")
        }
    };
    let failed = done.end.failed + stay.len() as u64;
    let act = order.act(what, letters, done.end.done, failed);
    let is_listed = audit::note(state, &author, act).await;
    Ok(Outcome::of(done, stay, is_listed))
}

/// Those that can go back as they are, and why others stay.
async fn unsent(state: &State, letters: &[Record]) -> Result<(Vec<Record>, Vec<Failure>), Problem> {
    let sent = Sent::load(state).await?;
    let (mut unsent, mut stay) = (Vec::new(), Vec::new());
    for letter in letters {
        match sent.check(letter) {
            Ok(()) => unsent.push(letter.clone()),
            Err(why) => stay.push(failure(letter, why)),
        }
    }
    match stay.first() {
        Some(first) if unsent.is_empty() => Err(Problem::new(
            StatusCode::CONFLICT,
            "sent",
            format!("Letter {}: {}.", first.id, first.why),
        )),
        _ => Ok((unsent, stay)),
    }
}

async fn drop_all(
    state: &State,
    shell: &Shell,
    order: &Order,
    letters: &[Record],
    progress: &Progress,
) -> Result<Outcome, Problem> {
    let (why, count) = (order.checked_why()?, letters.len() as u64);
    let who = format!("{} (web)", shell.visitor.name());
    let done = state
        .desk
        .discard(selection(letters), who, why.to_owned(), count, progress)
        .await?;
    let act = order.act("discard", letters, done.end.done, done.end.failed);
    let is_listed = audit::note(state, &shell.visitor.author(), act).await;
    Ok(Outcome::of(done, Vec::new(), is_listed))
}

/// How letters are put back, or what would become of them.
pub(super) async fn requeue(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Response, Problem> {
    if order.dry_run {
        let letters = order.letters(&state).await?.letters;
        return Ok(Json(try_out(&state, &order, &letters).await?).into_response());
    }
    What::Requeue.answer(state, shell, order).await
}

pub(super) async fn discard(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Response, Problem> {
    What::Discard.answer(state, shell, order).await
}

/// What takes no letters away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handling {
    Hold,
    Release,
}

/// What became of letters that were held or released.
#[derive(Debug, Serialize)]
pub(super) struct Handled {
    done: u64,
    is_listed: bool,
}

impl Handling {
    /// Holds or releases the letters that are meant, and writes it down.
    pub(super) async fn be_done(
        self,
        state: &State,
        shell: &Shell,
        order: &Order,
    ) -> Result<Handled, Problem> {
        let author = shell.visitor.author();
        let (what, letters, done) = match self {
            Self::Hold => {
                let why = order.checked_why()?;
                let letters = order.found(state).await?;
                let done = hold::hold(state, &letters, &author, why).await?;
                ("hold", letters, done)
            }
            Self::Release => {
                let letters = order.found(state).await?;
                let done = hold::release(state, &letters).await?;
                ("release", letters, done)
            }
        };
        let act = order.act(what, &letters, done, 0);
        Ok(Handled {
            done,
            is_listed: audit::note(state, &author, act).await,
        })
    }
}

pub(super) async fn hold(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Json<Handled>, Problem> {
    Ok(Json(Handling::Hold.be_done(&state, &shell, &order).await?))
}

pub(super) async fn release(
    Extract(state): Extract<State>,
    shell: Shell,
    Json(order): Json<Order>,
) -> Result<Json<Handled>, Problem> {
    Ok(Json(Handling::Release.be_done(&state, &shell, &order).await?))
}
