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
pub(super) struct Line {
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
}

/// Whom an act tells how far it is.
#[derive(Debug)]
pub(super) struct Progress(watch::Sender<Line>);

impl Progress {
    /// Nobody.
    pub(super) fn unheard() -> Self {
        Self(watch::Sender::new(Line::default()))
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
            Err(problem) => line.problem = Some(problem.detail().to_owned()),
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
            let Ok(look) = state.desk.look().await else {
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

/// Does `act` on `total` letters, and answers with a line of JSON whenever there is something new. `returning` are the
/// letters that may come back.
pub(super) fn followed<F, Fut>(state: &State, total: usize, returning: Vec<String>, act: F) -> Response
where
    F: FnOnce(Arc<Progress>) -> Fut,
    Fut: Future<Output = Result<Outcome, Problem>> + Send + 'static,
{
    let (sender, mut told) = watch::channel(Line {
        total: total as u64,
        ..Line::default()
    });
    let progress = Arc::new(Progress(sender));
    let (act, watching) = (act(Arc::clone(&progress)), state.clone());
    state.desk.spawn(async move {
        let done = act.await;
        let is_done = done.is_ok();
        progress.end(done);
        if is_done && !returning.is_empty() {
            progress.watch(&watching, &returning).await;
        }
        progress.complete();
    });
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
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}
