//! Who sends: the catalogue of hosts, with how much each sent in the last hours.

use event::Timestamp;
use query::{Pattern, Query, Term, TextMatch};

use super::{LIMIT_MAX, SearchError};
use crate::{Kind, Store, summary::FOLDED};

/// Hours that a source's row tells of.
pub const SOURCE_HOURS: usize = 24;

/// Addresses of one host that are told.
pub(crate) const PEERS_MAX: usize = 8;

const HOUR_MICROS: i64 = 3_600_000_000;

/// Which hosts to tell of, in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourcesRequest {
    /// Only names that hold this, in any case.
    pub containing: String,
    /// Go on behind this name.
    pub after: Option<String>,
    /// Rows at most.
    pub limit: usize,
    /// The last of the hours is the one of this instant.
    pub now: Timestamp,
}

/// A host that ever sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceRow {
    /// Its name as it stands in the catalogue: `""` for those that name none, `"*"` for all beyond the catalogue's bound.
    pub hostname: String,
    /// Different applications.
    pub apps: u64,
    /// Addresses without ports; eight at most.
    pub peers: Vec<String>,
    /// When the first event arrived.
    pub first_seen: Timestamp,
    /// When the last event arrived, or up to five seconds before.
    pub last_seen: Timestamp,
    /// Events in each of the last hours, the oldest first.
    pub hours: [u64; SOURCE_HOURS],
}

impl Store {
    /// Hosts by name, a page of them.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn sources(&self, request: &SourcesRequest) -> Result<Vec<SourceRow>, SearchError> {
        if !(1..=LIMIT_MAX).contains(&request.limit) {
            return Err(SearchError::Limit(request.limit));
        }
        match &*self.kind {
            Kind::Postgres(store) => Ok(store.sources(request, self.admission.generation()).await?),
            Kind::Sqlite(store) => Ok(store.sources(request).await?),
        }
    }

    /// Applications that ever sent and whose names hold `containing`, in any case: the first `limit` by name.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn apps(&self, containing: &str, limit: usize) -> Result<Vec<String>, SearchError> {
        if !(1..=LIMIT_MAX).contains(&limit) {
            return Err(SearchError::Limit(limit));
        }
        let mut apps = match &*self.kind {
            Kind::Postgres(store) => store.apps(containing, self.admission.generation()).await?,
            Kind::Sqlite(store) => store.apps(containing).await?,
        };
        apps.retain(|name| !matches!(&**name, "" | FOLDED));
        apps.truncate(limit);
        Ok(apps)
    }
}

impl SourcesRequest {
    /// The names of the page, of all names.
    pub(crate) fn page<'n>(&self, names: impl Iterator<Item = &'n String>) -> Vec<String> {
        let is_behind = |name: &&String| self.after.as_ref().is_none_or(|after| *name > after);
        let mut page = holding(&self.containing, names.filter(is_behind));
        page.truncate(self.limit);
        page
    }

    /// The first of the hours.
    pub(crate) const fn first_hour(&self) -> i64 {
        let hour = self.now.as_micros().div_euclid(HOUR_MICROS);
        (hour - SOURCE_HOURS as i64 + 1) * HOUR_MICROS
    }
}

/// The names that hold a text in any case, in order and each once.
pub(crate) fn holding<'n>(text: &str, names: impl Iterator<Item = &'n String>) -> Vec<String> {
    let term = Term::Message(vec![TextMatch::Contains(Pattern::literal(text))]);
    let matcher = Query::from(term).matcher(Timestamp::from_micros(0));
    let mut holding: Vec<String> = names
        .filter(|name| super::names::message_holds(&matcher, name))
        .cloned()
        .collect();
    holding.sort_unstable();
    holding.dedup();
    holding
}

impl SourceRow {
    pub(crate) const fn new(hostname: String) -> Self {
        Self {
            hostname,
            apps: 0,
            peers: Vec::new(),
            first_seen: Timestamp::from_micros(i64::MAX),
            last_seen: Timestamp::from_micros(i64::MIN),
            hours: [0; SOURCE_HOURS],
        }
    }

    /// Adds events of an hour.
    pub(crate) fn add(&mut self, first_hour: i64, hour: i64, events: i64) {
        let number = (hour - first_hour).div_euclid(HOUR_MICROS);
        if let Some(sum) = usize::try_from(number)
            .ok()
            .and_then(|number| self.hours.get_mut(number))
        {
            *sum += events.unsigned_abs();
        }
    }
}
