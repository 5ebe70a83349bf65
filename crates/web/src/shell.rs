//! What surrounds every page: navigation, appearance, who is signed in.

mod preferences;

use axum::{
    Router,
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
    routing::post,
};

use crate::{accounts::Visitor, pipeline::Health, problem::Problem, state::State};

pub(crate) use self::preferences::{DENSITIES, Preferences, TEXT_SIZES, THEMES};

/// Handed to every template as `shell`; an extractor of every handler that draws a page.
#[derive(Debug, Clone)]
pub(crate) struct Shell {
    /// Begins with what changed: "142 events – Search".
    pub(crate) title: String,
    /// The path of the navigation's entry, such as `/search`.
    pub(crate) section: &'static str,
    pub(crate) preferences: Preferences,
    pub(crate) visitor: Visitor,
    /// Goes into every form as `csrf`.
    pub(crate) csrf: String,
    /// Path and query of the request.
    pub(crate) here: String,
    /// Of the pipeline, for who may see it.
    pub(crate) health: Option<Health>,
}

/// An entry of the navigation.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: &'static str,
    pub(crate) name: &'static str,
}

/// The pages, in the order in which they stand.
const ENTRIES: &[Entry] = &[
    entry("/search", "Search"),
    entry("/tail", "Tail"),
    entry("/pipeline", "Pipeline"),
    entry("/dead-letters", "Dead letters"),
    entry("/sources", "Sources"),
];

const fn entry(path: &'static str, name: &'static str) -> Entry {
    Entry { path, name }
}

impl Shell {
    /// Of a request, with what the guard found out.
    pub(crate) fn new(visitor: Visitor, csrf: String, here: String, headers: &HeaderMap) -> Self {
        Self {
            title: String::new(),
            section: "",
            preferences: Preferences::of(headers),
            visitor,
            csrf,
            here,
            health: None,
        }
    }

    /// The same for one page.
    pub(crate) fn titled(mut self, title: impl Into<String>, section: &'static str) -> Self {
        self.title = title.into();
        self.section = section;
        self
    }

    /// What waits behind an entry, unless that is nothing or unknown.
    pub(crate) fn count(&self, entry: &Entry) -> Option<u64> {
        let dead = self.health.as_ref()?.dead?;
        (entry.path == "/dead-letters" && dead > 0).then_some(dead)
    }

    /// Our clock, for the browser to compare with its own.
    pub(crate) fn now_ms(&self) -> i64 {
        jiff::Timestamp::now().as_millisecond()
    }

    pub(crate) const fn entries(&self) -> &'static [Entry] {
        ENTRIES
    }

    pub(crate) const fn themes(&self) -> [&'static str; 3] {
        THEMES
    }

    pub(crate) const fn text_sizes(&self) -> [&'static str; 5] {
        TEXT_SIZES
    }

    pub(crate) const fn densities(&self) -> [&'static str; 3] {
        DENSITIES
    }
}

impl FromRequestParts<State> for Shell {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &State) -> Result<Self, Problem> {
        let shell = parts.extensions.get::<Self>().cloned();
        shell.ok_or_else(|| Problem::internal("a page without the guard before it"))
    }
}

pub(crate) fn routes() -> Router<State> {
    Router::new().route("/preferences", post(preferences::set))
}

/// `path` if it leads to one of our pages, or else the start: nobody is sent elsewhere by a link to us.
pub(crate) fn local_path(path: &str) -> &str {
    let is_local = path.starts_with('/')
        && !path.starts_with("//")
        && !path.contains(|c: char| c.is_control() || c == '\\');
    if is_local { path } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_pages_are_led_to() {
        for (path, expected) in [
            ("/search?q=a%20b", "/search?q=a%20b"),
            ("https://evil.example/", "/"),
            ("//evil.example/", "/"),
            ("/\\evil.example/", "/"),
            ("/\t/evil.example/", "/"),
            ("javascript:alert(1)", "/"),
            ("", "/"),
        ] {
            assert_eq!(local_path(path), expected, "{path:?}");
        }
    }
}
