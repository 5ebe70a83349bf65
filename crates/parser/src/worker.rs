//! One thread's work: a raw batch in, event batches and counts out.

use std::sync::Arc;

use event::{DecodeError, Defects, RawBatch};
use rules::{ProgramFailures, RuleChain, Runner, Verdict};
use tokio::sync::watch;

use crate::{
    outputs::{Output, Outputs},
    plan::Plan,
};

/// Parses batch after batch, in one thread, in memory that it keeps.
#[derive(Debug)]
pub(crate) struct Worker {
    /// Plans as they come.
    plans: watch::Receiver<Arc<Plan>>,
    plan: Arc<Plan>,
    runner: Runner,
    scratch: Vec<u8>,
    /// In which the last output was built.
    spare: Vec<u8>,
}

/// What came of a raw batch.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) frames: u64,
    pub(crate) outputs: Vec<Output>,
    pub(crate) dropped: Vec<(String, u64)>,
    pub(crate) defects: DefectCounts,
    /// Of programs that failed or aborted, by their names: the programs may be others by now.
    pub(crate) failures: Vec<(String, ProgramFailures)>,
}

/// Events by defect.
#[derive(Debug, Default)]
pub(crate) struct DefectCounts([u64; 32]);

impl DefectCounts {
    fn add(&mut self, defects: Defects) {
        let mut bits = defects.bits();
        while bits != 0 {
            if let Some(count) = self.0.get_mut(bits.trailing_zeros() as usize) {
                *count += 1;
            }
            bits &= bits - 1;
        }
    }

    /// The word of each defect that came up, and how often.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.0
            .iter()
            .enumerate()
            .filter(|(_, count)| **count > 0)
            .filter_map(|(bit, count)| {
                let word = Defects::from_bits(1 << bit)?.words().next()?;
                Some((word, *count))
            })
    }
}

impl Worker {
    pub(crate) fn new(mut plans: watch::Receiver<Arc<Plan>>) -> Self {
        let plan = Arc::clone(&plans.borrow_and_update());
        Self {
            plans,
            runner: plan.chain.runner(),
            plan,
            scratch: Vec::new(),
            spare: Vec::new(),
        }
    }

    /// Parses the body of a delivery. Of a batch that cannot be read to its end nothing is kept.
    pub(crate) fn parse(&mut self, body: &[u8]) -> Result<Parsed, DecodeError> {
        // An error means that there will be no other one.
        if self.plans.has_changed().unwrap_or(false) {
            self.plan = Arc::clone(&self.plans.borrow_and_update());
            self.runner = self.plan.chain.runner();
        }
        let plan = &*self.plan;
        let mut batch = RawBatch::decode(body, &mut self.scratch, plan.batch_bytes_max)?;
        let (source, listener) = (batch.id(), batch.listener());
        let reading = plan.reading(listener);
        let mut outputs = Outputs::new(
            source,
            listener,
            std::mem::take(&mut self.spare),
            plan.compression,
        );
        let mut dropped: Vec<(String, u64)> = Vec::new();
        let mut defects = DefectCounts::default();
        let mut frames = 0;
        while let Some(frame) = batch.next_frame()? {
            frames += 1;
            let mut event = reading.event(&frame, source, listener);
            let verdict = self.runner.apply(&mut event);
            defects.add(event.defects);
            match verdict {
                Verdict::Keep { route } => {
                    plan.keep_raw_by_policy(&mut event);
                    outputs.push(route, &event);
                }
                Verdict::Drop { reason } => match dropped.iter_mut().find(|(known, _)| known == reason) {
                    Some((_, count)) => *count += 1,
                    None => dropped.push((reason.to_owned(), 1)),
                },
            }
        }
        let (outputs, spare) = outputs.finish();
        self.spare = spare;
        Ok(Parsed {
            frames,
            outputs,
            dropped,
            defects,
            failures: failures(&plan.chain, self.runner.take_failures()),
        })
    }
}

fn failures(chain: &RuleChain, failures: Vec<ProgramFailures>) -> Vec<(String, ProgramFailures)> {
    let named = chain.programs().map(str::to_owned).zip(failures);
    let failed = named.filter(|(_, failures)| failures.failed > 0 || failures.aborted > 0);
    failed.collect()
}
