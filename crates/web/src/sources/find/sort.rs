//! By what sources are sorted, and where a page begins. What cannot be compared comes last; what is equal goes by name.

use std::cmp::{Ordering, Reverse};

use super::super::{judge::Judged, lately::Lately};
use crate::problem::Problem;

/// The columns that can be sorted by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) enum By {
    #[default]
    State,
    Hostname,
    Rate,
    Last,
    Gap,
    Clock,
    Defects,
}

/// An order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) struct Sort {
    pub(in super::super) by: By,
    /// The other way round than usual.
    pub(in super::super) is_reversed: bool,
}

/// Where a source stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `None` for what cannot be compared.
    key: Option<i64>,
    name: Name,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Name {
    Forwards(String),
    Backwards(Reverse<String>),
}

/// Behind which place a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cursor(Option<(Option<i64>, String)>);

impl By {
    pub(in super::super) const ALL: [Self; 7] = [
        Self::State,
        Self::Hostname,
        Self::Rate,
        Self::Last,
        Self::Gap,
        Self::Clock,
        Self::Defects,
    ];

    /// As an address has it.
    pub(in super::super) const fn word(self) -> &'static str {
        match self {
            Self::State => "state",
            Self::Hostname => "hostname",
            Self::Rate => "rate",
            Self::Last => "last",
            Self::Gap => "gap",
            Self::Clock => "clock",
            Self::Defects => "defects",
        }
    }

    /// Whether the largest come first, unless reversed.
    const fn is_largest_first(self) -> bool {
        match self {
            Self::Rate | Self::Clock | Self::Defects => true,
            Self::State | Self::Hostname | Self::Last | Self::Gap => false,
        }
    }

    /// What is compared.
    fn key(self, source: &Judged, lately: &Lately) -> Option<i64> {
        let lately_of = source.lately.as_ref();
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        match self {
            Self::State => Some(source.rank()),
            Self::Hostname => Some(0),
            Self::Rate => match lately.rate(&source.row.hostname) {
                Some((events, _)) if events > 0 => Some(whole(events)),
                // Slower than the newest events show.
                _ => Some(-1_000_000 + whole(source.last_hours()).min(999_999)),
            },
            Self::Last => source.is_seen.then(|| source.row.last_seen.as_micros()),
            Self::Gap => source.usual_gap_micros,
            Self::Clock => lately_of?.skew_micros().map(i64::abs),
            #[expect(clippy::cast_possible_truncation, reason = "a million at most")]
            Self::Defects => Some((lately_of?.defect_share() * 1e6) as i64),
        }
    }
}

impl Sort {
    /// From an address: the name of a column, with a minus before it for the other way round.
    pub(in super::super) fn of(text: &str) -> Result<Self, Problem> {
        let (is_reversed, word) = match text.strip_prefix('-') {
            Some(word) => (true, word),
            None => (false, text),
        };
        if text.is_empty() {
            return Ok(Self::default());
        }
        let by = By::ALL.into_iter().find(|by| by.word() == word).ok_or_else(|| {
            let words = By::ALL.map(By::word).join(", ");
            Problem::bad_request(
                "bad_parameter",
                format!("sort must be one of {words}, with a - before it for the other way round."),
            )
        })?;
        Ok(Self { by, is_reversed })
    }

    /// As an address has it; empty for the usual order.
    pub(in super::super) fn word(self) -> String {
        match (self.by, self.is_reversed) {
            (By::State, false) => String::new(),
            (by, false) => by.word().to_owned(),
            (by, true) => format!("-{}", by.word()),
        }
    }

    /// The order that a click on a column's head leads to.
    pub(in super::super) fn toggled(self, by: By) -> Self {
        Self {
            by,
            is_reversed: self.by == by && !self.is_reversed,
        }
    }

    /// For assistive technology, of a column; nothing for one that is not sorted by.
    pub(in super::super) fn aria(self, by: By) -> Option<&'static str> {
        let is_descending = self.by.is_largest_first() != self.is_reversed;
        (self.by == by).then_some(if is_descending { "descending" } else { "ascending" })
    }

    pub(super) fn place(self, source: &Judged, lately: &Lately) -> Place {
        let is_descending = self.by.is_largest_first() != self.is_reversed;
        let key = self.by.key(source, lately);
        Place {
            key: key.map(|key| if is_descending { -key } else { key }),
            name: self.name(source.row.hostname.clone()),
        }
    }

    fn name(self, name: String) -> Name {
        if self.by == By::Hostname && self.is_reversed {
            Name::Backwards(Reverse(name))
        } else {
            Name::Forwards(name)
        }
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> Ordering {
        let key = |place: &Self| (place.key.is_none(), place.key);
        key(self)
            .cmp(&key(other))
            .then_with(|| self.name.cmp(&other.name))
    }
}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Place {
    pub(super) fn cursor(&self) -> String {
        let (Name::Forwards(name) | Name::Backwards(Reverse(name))) = &self.name;
        let key = self.key.map_or_else(|| "x".to_owned(), |key| key.to_string());
        format!("{key}.{name}")
    }
}

impl Cursor {
    pub(super) fn read(text: &str) -> Result<Self, Problem> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let read = || {
            let (key, name) = text.split_once('.')?;
            let key = match key {
                "x" => None,
                key => Some(key.parse().ok()?),
            };
            Some((key, name.to_owned()))
        };
        match read() {
            Some(place) => Ok(Self(Some(place))),
            None => Err(Problem::bad_request(
                "bad_parameter",
                "cursor must be one that an answer had.",
            )),
        }
    }

    /// Whether a place is on the page that begins here, or behind it.
    pub(super) fn is_before(&self, place: &Place, sort: Sort) -> bool {
        self.0.as_ref().is_none_or(|(key, name)| {
            let at = Place {
                key: *key,
                name: sort.name(name.clone()),
            };
            at < *place
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(sort: &str, key: Option<i64>, name: &str) -> Place {
        let sort = Sort::of(sort).expect("is an order");
        Place {
            key,
            name: sort.name(name.to_owned()),
        }
    }

    #[test]
    fn orders_are_read_as_they_are_written() {
        for by in By::ALL {
            for is_reversed in [false, true] {
                let sort = Sort { by, is_reversed };
                assert_eq!(Sort::of(&sort.word()).expect("is one"), sort);
            }
        }
        for text in ["size", "-", "--rate"] {
            assert!(Sort::of(text).is_err(), "{text}");
        }
        let rate = Sort::default().toggled(By::Rate);
        assert_eq!(
            (rate.aria(By::Rate), rate.aria(By::State)),
            (Some("descending"), None)
        );
        assert_eq!(rate.toggled(By::Rate).aria(By::Rate), Some("ascending"));
        assert_eq!(Sort::default().aria(By::State), Some("ascending"));
    }

    #[test]
    fn pages_go_on_behind_their_cursor() {
        for (sort, places) in [
            (
                "rate",
                [(Some(-9), "b"), (Some(1), "a.b"), (Some(1), "c"), (None, "a")],
            ),
            (
                "-hostname",
                [(Some(0), "c"), (Some(0), "b"), (Some(0), ""), (None, "z")],
            ),
        ] {
            let places = places.map(|(key, name)| place(sort, key, name));
            let order = Sort::of(sort).expect("is one");
            assert!(places.is_sorted(), "{sort}");
            for (number, at) in places.iter().enumerate() {
                let cursor = Cursor::read(&at.cursor()).expect("is one");
                let behind = places.iter().filter(|place| cursor.is_before(place, order));
                assert_eq!(behind.count(), places.len() - number - 1, "{sort} {number}");
            }
        }
        for text in ["5", "y.web01", ".web01"] {
            assert!(Cursor::read(text).is_err(), "{text}");
        }
    }
}
