//! What a harvest folder says about its lines: whether they are parsed, and what they lack.

use std::borrow::Cow;

use anyhow::Context as _;
use event::{Defects, Event, Facility, Severity, Value};
use settings::LabelSettings;

/// The labels of one folder.
#[derive(Debug)]
pub(crate) struct Labels {
    app_name: Option<String>,
    hostname: Option<String>,
    facility: Option<Facility>,
    severity: Option<Severity>,
    tags: Vec<String>,
    fields: Vec<(String, String)>,
}

impl Labels {
    pub(crate) fn new(settings: &LabelSettings) -> anyhow::Result<Self> {
        let facility = settings.facility.as_deref().map(str::parse).transpose();
        let severity = settings.severity.as_deref().map(str::parse).transpose();
        Ok(Self {
            app_name: settings.app_name.clone(),
            hostname: settings.hostname.clone(),
            facility: facility.context("read harvest.folder.facility")?,
            severity: severity.context("read harvest.folder.severity")?,
            tags: settings.tags.clone(),
            fields: settings.fields.clone(),
        })
    }

    /// Gives the event what its line does not have. What the line says itself counts for more.
    pub(crate) fn apply<'a>(&'a self, event: &mut Event<'a>) {
        // Lines in files seldom have one.
        event.defects -= Defects::NO_PRIORITY;
        let text = |own: &mut Option<Cow<'a, str>>, label: &'a Option<String>| {
            if own.is_none() {
                *own = label.as_deref().map(Cow::Borrowed);
            }
        };
        text(&mut event.app_name, &self.app_name);
        text(&mut event.hostname, &self.hostname);
        event.facility = event.facility.or(self.facility);
        event.severity = event.severity.or(self.severity);
        for tag in &self.tags {
            if !event.tags.iter().any(|own| own == tag) {
                event.tags.push(Cow::Borrowed(tag));
            }
        }
        for (name, value) in &self.fields {
            if !event.fields.iter().any(|(own, _)| own == name) {
                let value = Value::String(Cow::Borrowed(value.as_str()));
                event.fields.push((Cow::Borrowed(name), value));
            }
        }
    }
}
