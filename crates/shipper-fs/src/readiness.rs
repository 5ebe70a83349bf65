//! Telling that files cannot be written, and that they can again: to `/readyz`, the log and the metrics.

use service::Component;

use crate::meters::Meters;

/// What is wrong with each destination, and who is told.
#[derive(Debug)]
pub(crate) struct Readiness {
    health: Component,
    meters: Meters,
    problems: Vec<Problem>,
}

#[derive(Debug)]
struct Problem {
    destination: String,
    text: Option<String>,
}

impl Readiness {
    pub(crate) fn new(health: Component, meters: Meters, destinations: impl Iterator<Item = String>) -> Self {
        let readiness = Self {
            health,
            meters,
            problems: destinations
                .map(|destination| Problem {
                    destination,
                    text: None,
                })
                .collect(),
        };
        for problem in &readiness.problems {
            readiness.meters.set_writable(&problem.destination, true);
        }
        readiness.tell();
        readiness
    }

    /// The destination numbered `index` was written to.
    pub(crate) fn works(&mut self, index: usize) {
        let Some(problem) = self.problems.get_mut(index) else {
            return;
        };
        if problem.text.take().is_some() {
            tracing::info!(destination = problem.destination, "files can be written again");
            self.meters.set_writable(&problem.destination, true);
            self.tell();
        }
    }

    /// It could not be written to. Said once for each new error, not once for each attempt.
    pub(crate) fn fails(&mut self, index: usize, text: String) {
        let Some(problem) = self.problems.get_mut(index) else {
            return;
        };
        if problem.text.as_ref() != Some(&text) {
            tracing::error!(
                destination = problem.destination,
                error = text,
                "files cannot be written; deliveries stay with the broker until they can"
            );
            self.meters.set_writable(&problem.destination, false);
            problem.text = Some(text);
            self.tell();
        }
    }

    fn tell(&self) {
        let problems = self.problems.iter();
        let texts: Vec<_> = problems
            .filter_map(|problem| Some(format!("{}: {}", problem.destination, problem.text.as_ref()?)))
            .collect();
        if texts.is_empty() {
            self.health.ready();
        } else {
            self.health.not_ready(texts.join("; "));
        }
    }
}
