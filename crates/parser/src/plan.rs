//! What all threads share: how to parse, and what to do with the result.

use std::collections::HashMap;

use anyhow::Context as _;
use event::{BatchId, Compression, Defects, Event, Frame, Grammar, GrammarOptions};
use jiff::tz::TimeZone;
use rules::RuleChain;
use settings::{RawPolicy, Settings};

use crate::labels::Labels;

/// How frames of one listener or folder become events.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    grammar: Grammar,
    labels: Option<Labels>,
}

impl Reading {
    /// The event of a frame.
    pub(crate) fn event<'a>(&'a self, frame: &Frame<'a>, source: BatchId, listener: &'a str) -> Event<'a> {
        let mut event = self.grammar.parse(frame, source, listener);
        if let Some(labels) = &self.labels {
            labels.apply(&mut event);
        }
        event
    }
}

/// The same for all batches.
#[derive(Debug)]
pub(crate) struct Plan {
    readings: HashMap<String, Reading>,
    /// For listeners that these settings do not know: another process may have other settings.
    other: Reading,
    pub(crate) chain: RuleChain,
    raw: RawPolicy,
    pub(crate) batch_bytes_max: usize,
    pub(crate) compression: Compression,
}

impl Plan {
    pub(crate) fn new(settings: &Settings, chain: RuleChain) -> anyhow::Result<Self> {
        let mut readings = HashMap::new();
        for listener in &settings.syslog_server.listeners {
            let time_zone = TimeZone::get(&listener.time_zone)
                .with_context(|| format!("find the time zone of listener {:?}", listener.name))?;
            let reading = Reading {
                grammar: Grammar::new(GrammarOptions { time_zone }),
                labels: None,
            };
            readings.insert(listener.name.clone(), reading);
        }
        for folder in &settings.harvest.folders {
            let time_zone = TimeZone::get(&folder.labels.time_zone)
                .with_context(|| format!("find the time zone of folder {:?}", folder.name))?;
            let grammar = if folder.labels.grammar {
                Grammar::new(GrammarOptions { time_zone })
            } else {
                Grammar::none()
            };
            let reading = Reading {
                grammar,
                labels: Some(Labels::new(&folder.labels)?),
            };
            readings.insert(folder.name.clone(), reading);
        }
        Ok(Self {
            readings,
            other: Reading::default(),
            chain,
            raw: settings.parser.raw,
            batch_bytes_max: settings.parser.batch_bytes_max,
            compression: match settings.parser.compression {
                settings::Compression::None => Compression::None,
                settings::Compression::Lz4 => Compression::Lz4,
            },
        })
    }

    pub(crate) fn reading(&self, listener: &str) -> &Reading {
        self.readings.get(listener).unwrap_or(&self.other)
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
