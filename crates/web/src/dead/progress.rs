//! Acts that take long, with how far they are: they go on to their end whether somebody listens or not.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio::sync::watch;

use super::act::Outcome;
use crate::{problem::Problem, state::State, stream::written_by};

/// How often it is looked whether letters that were put back lie there again, and how long lies between.
const LOOKS: usize = 4;
const BETWEEN_LOOKS: Duration = Duration::from_secs(3);

/// How far an act is: a line of the answer.
#[derive(Debug, Clone, Default, Serialize)]
struct Line {
    total: u64,
    done: u64,
    failed: u64,
    /// Letters that were put back and lie there again; null until it was looked.
    returned: Option<u64>,
    /// When it is done.
    outcome: Option<Outcome>,
    /// Why it could not be done to its end.
    problem: Option<String>,
    /// Nothing follows.
    complete: bool,
    /// What is meant is known, and can be done.
    #[serde(skip)]
    has_begun: bool,
    #[serde(skip)]
    failure: Option<Problem>,
}

impl Line {
    const fn is_over(&self) -> bool {
        self.outcome.is_some() || self.failure.is_some()
    }

    /// Why nothing was done.
    fn refusal(&self) -> Option<Problem> {
        self.failure.clone().filter(|_| !self.has_begun)
    }
}

/// Whom an act tells how far it is.
#[derive(Debug)]
pub(super) struct Progress(watch::Sender<Line>);

impl Progress {
    /// Nobody, unless somebody asks to be [told](Self::told).
    pub(super) fn unheard() -> Self {
        Self(watch::Sender::new(Line::default()))
    }

    pub(super) fn told(&self) -> Told {
        Told(self.0.subscribe())
    }

    /// So many letters are meant.
    pub(super) fn begin(&self, total: usize) {
        self.0.send_modify(|line| {
            line.total = total as u64;
            line.has_begun = true;
        });
    }

    pub(super) fn tell(&self, done: u64, failed: u64) {
        self.0.send_modify(|line| {
            line.done = done;
            line.failed = failed;
        });
    }

    fn end(&self, done: Result<Outcome, Problem>) {
        self.0.send_modify(|line| match done {
            Ok(outcome) => {
                (line.done, line.failed) = (outcome.done, outcome.failed);
                line.outcome = Some(outcome);
            }
            Err(problem) => {
                line.problem = Some(problem.detail().to_owned());
                line.failure = Some(problem);
            }
        });
    }

    fn complete(&self) {
        self.0.send_modify(|line| line.complete = true);
    }

    /// Looks a few times whether letters of these ids lie there again, while somebody wants to know.
    async fn watch(&self, state: &State, ids: &[String]) {
        for _ in 0..LOOKS {
            tokio::select! {
                () = tokio::time::sleep(BETWEEN_LOOKS) => {}
                () = self.0.closed() => return,
                () = state.stop.cancelled() => return,
            }
            let Ok(look) = state.desk.look("").await else {
                continue;
            };
            let is_there = |id: &&String| {
                let records = &mut look.records.iter();
                records.any(|record| record.id.is_some_and(|found| found.to_string() == **id))
            };
            let returned = ids.iter().filter(is_there).count() as u64;
            self.0.send_modify(|line| line.returned = Some(returned));
        }
    }
}

/// Does `act`, which gives its outcome and the letters that may come back.
pub(super) fn followed<F, Fut>(state: &State, act: F) -> Told
where
    F: FnOnce(Arc<Progress>) -> Fut,
    Fut: Future<Output = Result<(Outcome, Vec<String>), Problem>> + Send + 'static,
{
    let progress = Arc::new(Progress::unheard());
    let told = progress.told();
    let (act, watching) = (act(Arc::clone(&progress)), state.clone());
    state.desk.spawn(async move {
        match act.await {
            Ok((outcome, returning)) => {
                progress.end(Ok(outcome));
                if !returning.is_empty() {
                    progress.watch(&watching, &returning).await;
                }
            }
            Err(problem) => progress.end(Err(problem)),
        }
        progress.complete();
    });
    told
}

/// What an act tells. Clones hear the same.
#[derive(Debug, Clone)]
pub(super) struct Told(watch::Receiver<Line>);

impl Told {
    /// Whether it could not be done to its end.
    pub(super) fn has_failed(&self) -> bool {
        let has_died = self.0.has_changed().is_err();
        let line = self.0.borrow();
        line.failure.is_some() || (has_died && !line.complete)
    }

    /// What came of it.
    pub(super) async fn outcome(mut self) -> Result<Outcome, Problem> {
        let line = self.0.wait_for(Line::is_over).await.map_err(Problem::internal)?;
        match (&line.outcome, &line.failure) {
            (Some(outcome), _) => Ok(outcome.clone()),
            (None, Some(problem)) => Err(problem.clone()),
            (None, None) => Err(Problem::internal("an act that is over has no end")),
        }
    }

    /// A line of JSON whenever there is something new, once it is known that it can be done.
    pub(super) async fn lines(mut self) -> Result<Response, Problem> {
        let refused = self
            .0
            .wait_for(|line| line.has_begun || line.failure.is_some())
            .await
            .map_err(Problem::internal)?
            .refusal();
        if let Some(problem) = refused {
            return Err(problem);
        }
        let Self(mut told) = self;
        let body = written_by(async move |out| {
            loop {
                let line = told.borrow_and_update().clone();
                let Ok(mut json) = serde_json::to_vec(&line) else {
                    break;
                };
                json.push(b'\n');
                out.push(json).await;
                // Without an end, should the work have died.
                if line.complete || told.changed().await.is_err() {
                    break;
                }
            }
        });
        Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
    }
}
