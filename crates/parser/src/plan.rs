//! What all threads share: how to parse, and what to do with the result.

use std::collections::HashMap;

use anyhow::Context as _;
use event::{Compression, Defects, Event, Grammar, GrammarOptions};
use jiff::tz::TimeZone;
use rules::RuleChain;
use settings::{RawPolicy, Settings};

/// The same for all batches.
#[derive(Debug)]
pub(crate) struct Plan {
    grammars: HashMap<String, Grammar>,
    /// For listeners that these settings do not know: another process may have other settings.
    utc: Grammar,
    pub(crate) chain: RuleChain,
    raw: RawPolicy,
    pub(crate) batch_bytes_max: usize,
    pub(crate) compression: Compression,
}

impl Plan {
    pub(crate) fn new(settings: &Settings, chain: RuleChain) -> anyhow::Result<Self> {
        let mut grammars = HashMap::new();
        for listener in &settings.syslog_server.listeners {
            let time_zone = TimeZone::get(&listener.time_zone)
                .with_context(|| format!("find the time zone of listener {:?}", listener.name))?;
            grammars.insert(listener.name.clone(), Grammar::new(GrammarOptions { time_zone }));
        }
        Ok(Self {
            grammars,
            utc: Grammar::new(GrammarOptions::default()),
            chain,
            raw: settings.parser.raw,
            batch_bytes_max: settings.parser.batch_bytes_max,
            compression: match settings.parser.compression {
                settings::Compression::None => Compression::None,
                settings::Compression::Lz4 => Compression::Lz4,
            },
        })
    }

    pub(crate) fn grammar(&self, listener: &str) -> &Grammar {
        self.grammars.get(listener).unwrap_or(&self.utc)
    }

    /// Takes the bytes as received from an event that is not to keep them. After the rules, since a failed rule
    /// is a defect too.
    pub(crate) fn keep_raw_by_policy(&self, event: &mut Event<'_>) {
        let is_kept = match self.raw {
            RawPolicy::Always => true,
            RawPolicy::OnDefect => event.defects != Defects::empty(),
            RawPolicy::Never => false,
        };
        if !is_kept {
            event.raw = None;
        }
    }
}
