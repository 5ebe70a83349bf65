//! Which fields and values the newest matching events have. Counted here, over rows that a search finds, so that both
//! stores agree and what is counted is bounded.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::{BuildHasher, RandomState},
    time::{Duration, Instant},
};

use event::Value;
use query::{Field, FieldNames};

use super::{Found, SearchError, SearchRequest, Selection, StoredEvent};
use crate::{Store, StoreError};

/// Matches that are counted, the newest.
const SAMPLE_MAX: usize = 10_000;

/// Fields that are counted; further ones are left out.
const FIELDS_MAX: usize = 1000;

/// Different values of one field that are counted; further ones only add to `distinct`.
const VALUES_MAX: usize = 10_000;

/// Bytes of different values, of all fields that are counted together; likewise.
const VALUES_BYTES_MAX: usize = 32 << 20;

/// Bytes of a value that are shown.
const VALUE_BYTES_MAX: usize = 1024;

/// Recent events that custom names are taken from.
const NAMES_SAMPLE: usize = 5000;
const NAMES_TIME: Duration = Duration::from_secs(2);
const NAMES_KEPT: Duration = Duration::from_secs(60);

/// The fields of the newest matches.
#[derive(Debug, Clone, PartialEq)]
pub struct Fields {
    /// Matches that were looked at.
    pub sample: usize,
    /// False when the time was up first.
    pub complete: bool,
    /// Those that most matches have first.
    pub fields: Vec<FieldSeen>,
}

/// A field of some matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldSeen {
    /// Which.
    pub field: Field,
    /// What it holds.
    pub kind: FieldKind,
    /// Matches that have it.
    pub present: usize,
    /// Different values.
    pub distinct: usize,
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text, or values of several kinds.
    Text,
    /// Numbers only.
    Number,
    /// `true` and `false` only.
    Bool,
}

/// The values of a field of the newest matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values {
    /// Matches that were looked at.
    pub sample: usize,
    /// False when the time was up first.
    pub complete: bool,
    /// Matches without the field.
    pub missing: usize,
    /// Different values.
    pub distinct: usize,
    /// The most frequent, with how many matches have them.
    pub values: Vec<(String, usize)>,
}

impl Store {
    /// The fields of the newest 10,000 events of the selection.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn fields(&self, what: &Selection, budget: Duration) -> Result<Fields, SearchError> {
        let hasher = RandomState::new();
        let mut seen: HashMap<Field, (FieldSeen, HashSet<u64>)> = HashMap::new();
        let (sample, complete) = self
            .each_newest(what, SAMPLE_MAX, budget, |row| {
                for field in Field::of(&row.event) {
                    if seen.len() >= FIELDS_MAX && !seen.contains_key(&field) {
                        continue;
                    }
                    let kind = kind_of(&field, row);
                    let (known, values) = seen.entry(field.clone()).or_insert_with(|| {
                        let known = FieldSeen {
                            field: field.clone(),
                            kind,
                            present: 0,
                            distinct: 0,
                        };
                        (known, HashSet::new())
                    });
                    known.present += 1;
                    if known.kind != kind {
                        known.kind = FieldKind::Text;
                    }
                    values.extend(
                        field
                            .values(&row.event)
                            .iter()
                            .map(|value| hasher.hash_one(value)),
                    );
                    known.distinct = values.len();
                }
            })
            .await?;
        let mut fields: Vec<_> = seen.into_values().map(|(seen, _)| seen).collect();
        fields.sort_by_cached_key(|seen| (std::cmp::Reverse(seen.present), seen.field.name()));
        Ok(Fields {
            sample,
            complete,
            fields,
        })
    }

    /// The `limit` most frequent values of a field among the newest 10,000 events of the selection.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn values(
        &self,
        what: &Selection,
        field: &Field,
        limit: usize,
        budget: Duration,
    ) -> Result<Values, SearchError> {
        let counted = self
            .values_of_each(what, std::slice::from_ref(field), limit, budget)
            .await?;
        Ok(counted.into_iter().next().expect("one for each field"))
    }

    /// The same of several fields, in their order, by one look at the events.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn values_of_each(
        &self,
        what: &Selection,
        fields: &[Field],
        limit: usize,
        budget: Duration,
    ) -> Result<Vec<Values>, SearchError> {
        let hasher = RandomState::new();
        let mut counting: Vec<_> = fields.iter().map(|_| Counting::default()).collect();
        let mut bytes_left = VALUES_BYTES_MAX;
        let (sample, complete) = self
            .each_newest(what, SAMPLE_MAX, budget, |row| {
                for (field, counting) in fields.iter().zip(&mut counting) {
                    counting.see(field, row, &hasher, &mut bytes_left);
                }
            })
            .await?;
        let values = counting
            .into_iter()
            .map(|counted| counted.end(sample, complete, limit));
        Ok(values.collect())
    }

    /// Custom fields of recent events, for [`query::Options::fields`]; kept for a minute.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn field_names(&self) -> Result<FieldNames, SearchError> {
        let mut cache = self.field_names.lock().await;
        if let Some((loaded, names)) = &*cache
            && loaded.elapsed() < NAMES_KEPT
        {
            return Ok(names.clone());
        }
        let mut names = HashSet::new();
        self.each_newest(&Selection::default(), NAMES_SAMPLE, NAMES_TIME, |row| {
            for field in Field::of(&row.event) {
                if let Field::Custom(path) = field
                    && names.len() < FIELDS_MAX
                {
                    names.insert(path.join("."));
                }
            }
        })
        .await?;
        let names = FieldNames::new(names);
        *cache = Some((Instant::now(), names.clone()));
        Ok(names)
    }

    /// Gives `each` the newest events; returns how many there were, and whether the time was enough.
    async fn each_newest(
        &self,
        what: &Selection,
        limit: usize,
        budget: Duration,
        mut each: impl FnMut(&StoredEvent),
    ) -> Result<(usize, bool), SearchError> {
        let mut search = self.search(SearchRequest {
            selection: what.clone(),
            limit,
            budget,
            ..SearchRequest::default()
        });
        let mut sample = 0;
        while let Some(found) = search.next().await {
            match found? {
                Found::Rows(rows) => {
                    sample += rows.len();
                    rows.iter().for_each(&mut each);
                }
                Found::Progress { .. } => {}
                Found::End(end) => return Ok((sample, end.complete)),
            }
        }
        Err(StoreError::Closed.into())
    }
}

/// The values of one field, as far as they were seen.
#[derive(Debug, Default)]
struct Counting {
    counts: BTreeMap<String, usize>,
    all: HashSet<u64>,
    missing: usize,
}

impl Counting {
    fn see(&mut self, field: &Field, row: &StoredEvent, hasher: &RandomState, bytes_left: &mut usize) {
        let values: HashSet<_> = field.values(&row.event).into_iter().collect();
        self.missing += usize::from(values.is_empty());
        for value in values {
            self.all.insert(hasher.hash_one(&value));
            let shown = value
                .get(..value.floor_char_boundary(VALUE_BYTES_MAX))
                .unwrap_or(&value);
            if let Some(count) = self.counts.get_mut(shown) {
                *count += 1;
            } else if self.counts.len() < VALUES_MAX && shown.len() <= *bytes_left {
                *bytes_left -= shown.len();
                self.counts.insert(shown.to_owned(), 1);
            }
        }
    }

    fn end(self, sample: usize, complete: bool, limit: usize) -> Values {
        let mut values: Vec<_> = self.counts.into_iter().collect();
        values.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        values.truncate(limit);
        Values {
            sample,
            complete,
            missing: self.missing,
            distinct: self.all.len(),
            values,
        }
    }
}

/// What the row's values of a custom field are; other fields are texts.
fn kind_of(field: &Field, row: &StoredEvent) -> FieldKind {
    let Field::Custom(path) = field else {
        return FieldKind::Text;
    };
    let mut entries = &row.event.fields;
    let mut found = None;
    for name in path {
        found = entries
            .iter()
            .find(|(entry, _)| entry == name)
            .map(|(_, value)| value);
        if let Some(Value::Object(inner)) = found {
            entries = inner;
        }
    }
    match found {
        Some(Value::Integer(_) | Value::Unsigned(_) | Value::Float(_)) => FieldKind::Number,
        Some(Value::Bool(_)) => FieldKind::Bool,
        Some(Value::Null | Value::String(_) | Value::Array(_) | Value::Object(_)) | None => FieldKind::Text,
    }
}
