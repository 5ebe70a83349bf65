//! Lines of a session that are joined into events, where its listener is set so.

use std::{sync::Arc, time::Duration};

use framing::{BadPattern, Joiner, MultilineRule};
use settings::{LinePattern, MultilineSettings};

use crate::idle::Idle;

/// How lines of a listener are joined.
#[derive(Debug, Clone)]
pub(crate) struct Joining {
    rule: Arc<MultilineRule>,
    timeout: Duration,
}

impl Joining {
    pub(crate) fn new(settings: &MultilineSettings) -> Result<Self, BadPattern> {
        let (bytes_max, lines_max) = (settings.bytes_max, settings.lines_max);
        let rule = match &settings.pattern {
            LinePattern::Start(pattern) => MultilineRule::starting(pattern, bytes_max, lines_max),
            LinePattern::Continuation(pattern) => MultilineRule::continuing(pattern, bytes_max, lines_max),
        }?;
        Ok(Self {
            rule: Arc::new(rule),
            timeout: settings.timeout,
        })
    }

    /// The joiner of one session, and what tells that nothing more came.
    pub(crate) fn of_session(this: Option<&Self>) -> (Option<Joiner>, Option<Idle>) {
        let joiner = this.map(|this| Joiner::new(Arc::clone(&this.rule)));
        (joiner, Idle::new(this.map(|this| this.timeout)))
    }
}
