//! Letters that died of the same: by stage, queue, reason and what the text has in common.

use std::collections::{BTreeMap, BTreeSet};

use ::dead::{Record, Selection};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Ids in one order: a selection is a list.
const GROUP_MAX: usize = super::desk::LETTERS_MAX;

/// Which letters are meant: those of a group, or one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Which {
    pub(super) stage: String,
    pub(super) reason: String,
    pub(super) fingerprint: String,
    /// Text in what went wrong, or in a line or event. Looks find it: what they saw has it.
    pub(super) q: String,
    pub(super) id: String,
}

/// A group.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Group {
    pub(super) stage: String,
    pub(super) reason: String,
    pub(super) fingerprint: String,
    /// The text of the newest.
    pub(super) text: String,
    pub(super) n: usize,
    /// Lines or events in them.
    pub(super) events: usize,
    pub(super) oldest: Option<Timestamp>,
    pub(super) newest: Option<Timestamp>,
    pub(super) queues: BTreeSet<String>,
    pub(super) sample_id: Option<String>,
}

impl Which {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    pub(super) fn takes(&self, record: &Record) -> bool {
        let key = Key::of(record);
        let is = |wanted: &str, found: &str| wanted.is_empty() || wanted == found;
        is(&self.stage, key.stage)
            && is(&self.reason, key.reason)
            && is(&self.fingerprint, &key.fingerprint)
            && (self.id.is_empty() || record.id.is_some_and(|id| id.to_string() == self.id))
    }

    /// The letters by their ids, as those who do something with them want it. Letters without an id are not among them.
    pub(super) fn selection<'a>(&self, records: impl IntoIterator<Item = &'a Record>) -> Selection {
        let ids = records
            .into_iter()
            .filter(|record| self.takes(record))
            .filter_map(|record| record.id)
            .map(|id| id.to_string())
            .take(GROUP_MAX);
        Selection {
            ids: ids.collect(),
            ..Selection::default()
        }
    }

    /// As it stands behind the `?`.
    pub(super) fn params(&self) -> String {
        let mut params = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("stage", &self.stage),
            ("reason", &self.reason),
            ("fingerprint", &self.fingerprint),
            ("q", &self.q),
            ("id", &self.id),
        ] {
            if !value.is_empty() {
                params.append_pair(name, value);
            }
        }
        params.finish()
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key<'a> {
    stage: &'a str,
    reason: &'a str,
    fingerprint: String,
}

impl<'a> Key<'a> {
    fn of(record: &'a Record) -> Self {
        match &record.death {
            Some(death) => Self {
                stage: &death.stage,
                reason: &death.reason,
                fingerprint: fingerprint(&death.text),
            },
            None => Self {
                stage: "unknown",
                reason: "unknown",
                fingerprint: fingerprint(""),
            },
        }
    }
}

/// The groups, the largest first.
pub(super) fn groups(records: &[Record]) -> Vec<Group> {
    let mut groups: BTreeMap<Key<'_>, Group> = BTreeMap::new();
    for record in records {
        let key = Key::of(record);
        let group = groups.entry(key).or_insert_with(|| {
            let key = Key::of(record);
            Group {
                stage: key.stage.to_owned(),
                reason: key.reason.to_owned(),
                fingerprint: key.fingerprint,
                text: String::new(),
                n: 0,
                events: 0,
                oldest: None,
                newest: None,
                queues: BTreeSet::new(),
                sample_id: None,
            }
        });
        group.n += 1;
        group.events += record.events.unwrap_or(0);
        group.sample_id = record.id.map(|id| id.to_string()).or(group.sample_id.take());
        if let Some(death) = &record.death {
            group.text.clone_from(&death.text);
            group.oldest = Some(group.oldest.map_or(death.at, |oldest| oldest.min(death.at)));
            group.newest = group.newest.max(Some(death.at));
            group.queues.insert(death.queue.clone());
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.n));
    groups
}

/// The same for texts that differ only in numbers and quoted values: sixteen hexadecimal digits.
fn fingerprint(text: &str) -> String {
    use sha2::{Digest as _, Sha256};
    let mut common = String::new();
    let mut is_quoted = false;
    for c in text.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            _ if is_quoted => {}
            c if c.is_ascii_digit() => {
                if !common.ends_with('#') {
                    common.push('#');
                }
            }
            c => common.push(c),
        }
    }
    let digest = Sha256::digest(common.as_bytes());
    digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use ::dead::DeathRecord;
    use uuid::Uuid;

    use super::*;

    pub(crate) fn record(id: u128, stage: &str, text: &str) -> Record {
        Record {
            id: Some(Uuid::from_u128(id)),
            death: Some(DeathRecord {
                reason: "refused".to_owned(),
                text: text.to_owned(),
                stage: stage.to_owned(),
                queue: stage.to_owned(),
                batch: None,
                position: None,
                at: Timestamp::from_second(i64::try_from(id).unwrap()).unwrap(),
                attempts: 1,
                exchange: "logferry.parsed".to_owned(),
                routing_key: "default".to_owned(),
            }),
            routing_key: format!("{stage}.refused"),
            content_type: None,
            bytes: 10,
            events: Some(2),
            preview: "disk full".to_owned(),
            body_base64: None,
            headers: serde_json::Map::new(),
        }
    }

    #[test]
    fn what_died_of_the_same_is_one_group() {
        let records = [
            record(1, "shipper-pgsql", "value \"abc\" is too long: 2000 bytes"),
            record(2, "shipper-pgsql", "value \"x y\" is too long: 31 bytes"),
            record(3, "shipper-pgsql", "no such column"),
            record(4, "parser", "no such column"),
        ];
        let groups = groups(&records);
        assert_eq!(groups.len(), 3);
        let largest = &groups[0];
        assert_eq!((largest.n, largest.events), (2, 4));
        assert_eq!(largest.oldest, Timestamp::from_second(1).ok());
        assert_eq!(largest.newest, Timestamp::from_second(2).ok());
        let which = Which {
            stage: largest.stage.clone(),
            fingerprint: largest.fingerprint.clone(),
            ..Which::default()
        };
        assert_eq!(which.selection(&records).ids.len(), 2);
        assert!(which.params().starts_with("stage=shipper-pgsql&fingerprint="));
        let which = Which {
            id: records[0].id.unwrap().to_string(),
            ..Which::default()
        };
        assert_eq!(which.selection(&records).ids.len(), 1);
    }
}
