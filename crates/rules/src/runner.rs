//! Runs a chain on event after event, in one thread.

use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use event::{Defects, Event};
use vrl::{
    compiler::{
        Program, TimeZone,
        runtime::{ExecutionControl, Runtime, Terminate},
        state::RuntimeState,
    },
    value::Value,
};

use crate::{
    chain::{Chain, DEFAULT_ROUTE},
    convert,
    schema::Field,
    slots::Slots,
    target::{EventTarget, Fault, Orders},
};

/// Expressions that one program may evaluate for one event. A thousand free fields can be gone through with a
/// body of tens of expressions; what takes more holds up everybody else's events.
const STEPS_MAX: u32 = 50_000;

/// How long they may take. A step that copies a large value takes long, so steps alone are no bound.
const TIME_MAX: Duration = Duration::from_secs(1);

/// Steps between two looks at the clock, so that programs of a few lines never look.
const STEPS_PER_LOOK: u32 = 64;

/// The stack that a thread that applies rules should have. Functions that read nested text, and the values that
/// they make, recurse; measured on a debug build, the XML of a frame of 128 KiB takes less than 32 MiB. Only
/// address space is taken for what is not used.
pub const STACK_BYTES: usize = 64 << 20;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict<'s> {
    /// It goes on.
    Keep {
        /// By this route.
        route: &'s str,
    },
    /// It ends here.
    Drop {
        /// What it is counted under.
        reason: &'s str,
    },
}

/// How often one program did not come to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProgramFailures {
    /// Run-time errors, wrong types, broken bounds. Each event has the defect `rule_failed`.
    pub failed: u64,
    /// The program said `abort`.
    pub aborted: u64,
    /// VRL's message of the last failure. It may hold content of the event.
    pub last_error: Option<String>,
}

/// Runs the programs of a chain. Each thread has its own, and a stack of [`STACK_BYTES`] where events come from
/// strangers.
#[derive(Debug)]
pub struct Runner {
    chain: Arc<Chain>,
    /// Of our own, since regular expressions in them have caches that threads would fight over.
    programs: Vec<Program>,
    runtime: Runtime,
    slots: Slots,
    orders: Orders,
    failures: Vec<ProgramFailures>,
}

/// Why a program did not come to its end.
enum Stop {
    Dropped,
    Aborted,
    Failed(String),
}

impl Runner {
    pub(crate) fn new(chain: Arc<Chain>) -> Self {
        Self {
            programs: chain.programs.iter().map(|named| named.program.clone()).collect(),
            runtime: Runtime::new(RuntimeState::default()),
            slots: Slots::new(&chain.layout),
            orders: Orders::default(),
            failures: vec![ProgramFailures::default(); chain.programs.len()],
            chain,
        }
    }

    /// Runs all programs on an event. One that fails or aborts leaves the event as it was before it. Afterwards the
    /// event may borrow from the runner what the programs wrote.
    pub fn apply<'s>(&'s mut self, event: &mut Event<'s>) -> Verdict<'s> {
        self.slots.reset();
        self.orders = Orders::default();
        for index in 0..self.programs.len() {
            match self.run(index, event) {
                Ok(()) => self.slots.commit(),
                Err(Stop::Dropped) => break,
                Err(stop) => {
                    self.slots.roll_back();
                    self.note(index, stop, event);
                }
            }
        }
        let this: &'s Self = self;
        if let Some(reason) = &this.orders.drop {
            let reason = text(reason).unwrap_or_default();
            return Verdict::Drop { reason };
        }
        convert::write_back(&this.chain.layout, &this.slots, event);
        let route = this.orders.route.as_ref().and_then(text).unwrap_or(DEFAULT_ROUTE);
        Verdict::Keep { route }
    }

    /// Failures by program since the last call, in the order of the chain; empty when there were none.
    pub fn take_failures(&mut self) -> Vec<ProgramFailures> {
        let none = ProgramFailures::default();
        if self.failures.iter().all(|failures| *failures == none) {
            return Vec::new();
        }
        let empty = vec![none; self.failures.len()];
        std::mem::replace(&mut self.failures, empty)
    }

    fn run(&mut self, index: usize, event: &Event<'_>) -> Result<(), Stop> {
        let Some(program) = self.programs.get(index) else {
            return Ok(());
        };
        let route_before = self.orders.route.clone();
        let mut target = EventTarget::new(&self.chain.layout, event, &mut self.slots, &mut self.orders);
        let mut meter = Meter::default();
        let runtime = &mut self.runtime;
        // VRL is a lot of code that gets hostile text. Whatever the panic interrupted is thrown away below.
        let result = catch_unwind(AssertUnwindSafe(|| {
            runtime.resolve_with_control(&mut target, program, &self.chain.time_zone, &mut meter)
        }));
        let fault = target.fault();
        let outcome = match (result, fault) {
            _ if self.orders.drop.is_some() => Err(Stop::Dropped),
            (Err(_), _) => {
                self.runtime = Runtime::new(RuntimeState::default());
                Err(Stop::Failed(Fault::Panicked.to_string()))
            }
            (Ok(Err(Terminate::Interrupted)), _) => {
                let fault = meter.fault.unwrap_or(Fault::TooManySteps(STEPS_MAX));
                Err(Stop::Failed(fault.to_string()))
            }
            (Ok(Err(Terminate::Abort(_))), _) => Err(Stop::Aborted),
            (Ok(Err(Terminate::Error(error))), _) => Err(Stop::Failed(error.to_string())),
            (Ok(Ok(_)), Some(fault)) => Err(Stop::Failed(fault.to_string())),
            (Ok(Ok(_)), None) => convert::check_written(&self.chain.layout, &mut self.slots)
                .map_err(|fault| Stop::Failed(fault.to_string())),
        };
        self.runtime.clear();
        if outcome.is_err() {
            self.orders.route = route_before;
        }
        outcome
    }

    fn note(&mut self, index: usize, stop: Stop, event: &mut Event<'_>) {
        let Some(failures) = self.failures.get_mut(index) else {
            return;
        };
        match stop {
            Stop::Dropped => {}
            Stop::Aborted => failures.aborted += 1,
            Stop::Failed(error) => {
                failures.failed += 1;
                failures.last_error = Some(error);
                event.defects |= Defects::RULE_FAILED;
                // The programs that follow see the defect.
                self.slots.forget(Field::Defects.index());
            }
        }
    }
}

/// Names are checked to be ASCII when they are given.
fn text(name: &Value) -> Option<&str> {
    std::str::from_utf8(name.as_bytes()?).ok()
}

/// Bounds one run.
#[derive(Debug, Default)]
struct Meter {
    steps: u32,
    deadline: Option<Instant>,
    fault: Option<Fault>,
}

impl ExecutionControl for Meter {
    #[inline]
    fn checkpoint(&mut self) -> ControlFlow<()> {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_PER_LOOK) {
            self.look()
        } else {
            ControlFlow::Continue(())
        }
    }
}

impl Meter {
    #[cold]
    fn look(&mut self) -> ControlFlow<()> {
        let now = Instant::now();
        let deadline = *self.deadline.get_or_insert(now + TIME_MAX);
        if self.steps > STEPS_MAX {
            self.fault = Some(Fault::TooManySteps(STEPS_MAX));
        } else if now > deadline {
            self.fault = Some(Fault::TooSlow(TIME_MAX));
        }
        match self.fault {
            Some(_) => ControlFlow::Break(()),
            None => ControlFlow::Continue(()),
        }
    }
}

/// Timestamps without a zone that programs parse are UTC.
pub(crate) fn utc() -> TimeZone {
    TimeZone::parse("UTC").expect("every time zone database knows UTC")
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
