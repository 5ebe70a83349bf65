//! The page of one source.

use std::time::Instant;

use askama::Template;
use axum::{
    extract::{Path, State as Extract},
    response::Html as Page,
};
use event::Timestamp;
use store::{Profile, ProfileRequest};

use super::{
    clock::{Last, last},
    find,
    gaps::{self, Week},
    judge::Judged,
    mix::{self, Mix},
    page::href_of,
    via::{Connected, Via},
    watch::{Expected, Watch},
    watch_page::mutes,
};
use crate::{
    html::Html,
    problem::Problem,
    search::{Ask, Drawing, quoted},
    shell::Shell,
    spark::spark,
    state::State,
    time,
};

/// Rows of one source's page.
const LINES: usize = 20;

#[derive(Template)]
#[template(path = "sources/source.html")]
struct Source<'a> {
    shell: &'a Shell,
    source: &'a Judged,
    name: Html,
    via: Vec<Via>,
    last: Option<&'a Last>,
    told: Option<Told>,
    /// What could not be read.
    troubles: Vec<&'a Problem>,
    spark: String,
    rows: String,
    search: String,
    tail: String,
    href: String,
    mutes: [(&'static str, &'static str); 5],
    /// Whether it is muted now.
    is_muted: bool,
    expected: Option<Expectation>,
}

/// What the hours of the store tell.
struct Told {
    mix: Mix,
    week: Week,
}

/// That a source is expected to speak.
struct Expectation {
    every: String,
    author: String,
    /// By a pattern, which has other sources too.
    pattern: Option<String>,
}

impl Expectation {
    fn of(hostname: &str, expected: &Expected) -> Self {
        Self {
            every: expected.every_text(),
            author: expected.author.clone(),
            pattern: (expected.name != hostname).then(|| expected.name.clone()),
        }
    }
}

impl Source<'_> {
    fn at(&self, at: &Timestamp) -> String {
        time::seconds(*at, &self.shell.preferences.zone)
    }

    fn is_expected_itself(&self) -> bool {
        self.expected
            .as_ref()
            .is_some_and(|expected| expected.pattern.is_none())
    }

    fn text(&self, text: &str) -> Html {
        Html::line(text)
    }
}

/// What a source sent in the weeks before.
pub(super) async fn profile(state: &State, hostname: &str) -> Result<Profile, Problem> {
    let request = ProfileRequest {
        hostname: hostname.to_owned(),
        hours: gaps::HOURS,
        recent: mix::HOURS,
        apps: mix::APPS,
        now: Timestamp::now(),
    };
    Ok(state.store.profile(&request).await?)
}

pub(super) async fn source(
    Extract(state): Extract<State>,
    shell: Shell,
    Path(hostname): Path<String>,
) -> Result<Page<String>, Problem> {
    let known = state.hub.all();
    let source = find::one(&state, &known, &hostname).await?;
    let watch = Watch::load(&state).await?;
    let now = Timestamp::now();
    let (expected, muted) = watch.of(&hostname, now);
    let (last, profile) = tokio::join!(last(&state, &hostname), profile(&state, &hostname));
    let query = format!("host:{}", quoted(&hostname));
    let ask = Ask::default().with_query(&*query).last("24h");
    let shell = shell.titled("Source", "/sources");
    let rows = match &last {
        Ok(last) => {
            let asked = crate::tail::asked(&state, &shell, query.clone()).await?;
            let newest = last.rows.get(..LINES).unwrap_or(&last.rows);
            Drawing::new(&asked)
                .rows(newest, None)
                .map_err(Problem::internal)?
        }
        Err(_) => String::new(),
    };
    let zone = &shell.preferences.zone;
    let told = profile.as_ref().ok().map(|profile| Told {
        mix: Mix::of(&hostname, profile),
        week: Week::of(&source, profile, now.as_micros(), zone),
    });
    let view = Source {
        name: Html::line(source.name()),
        via: Connected::of(&known, Instant::now()).via(&source),
        told,
        troubles: last
            .as_ref()
            .err()
            .into_iter()
            .chain(profile.as_ref().err())
            .collect(),
        last: last.as_ref().ok(),
        spark: spark(&source.row.hours),
        rows,
        search: ask.href(),
        href: href_of(&hostname),
        mutes: mutes(),
        is_muted: muted.is_some(),
        expected: expected.map(|expected| Expectation::of(&hostname, expected)),
        tail: format!(
            "/tail?{}",
            form_urlencoded::Serializer::new(String::new())
                .append_pair("q", &query)
                .finish()
        ),
        shell: &shell,
        source: &source,
    };
    Ok(Page(view.render().map_err(Problem::internal)?))
}
