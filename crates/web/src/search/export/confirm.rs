//! Before a file of many events is written: how many they are, about how large it becomes, and whether that is meant.

use std::time::Duration;

use askama::Template;
use axum::{
    extract::{Query, State as Extract},
    response::{Html as Page, IntoResponse, Redirect, Response},
};
use store::{Count, Found, Quality, SearchRequest};

use super::{EVENTS_MAX, File, Form};
use crate::{
    number::grouped,
    problem::Problem,
    running::Running,
    search::{
        ask::{Ask, Asked, Reading},
        field_names,
        row::bytes,
    },
    shell::Shell,
    state::State,
};

/// Files of so many events are written without a question.
const QUIETLY_MAX: u64 = 100_000;
/// For the count, and for the sample.
const BUDGET: Duration = Duration::from_secs(2);
/// Events from which the size of the others is guessed.
const SAMPLE: usize = 200;

#[derive(Template)]
#[template(path = "search/export.html")]
struct Confirm<'a> {
    shell: &'a Shell,
    ask: &'a Ask,
    /// The file.
    href: String,
    format: &'static str,
    events: String,
    is_estimate: bool,
    /// Events of the file, where there are more.
    cut: Option<String>,
    is_oldest_first: bool,
    /// `None` when the time for it was up.
    size: Option<String>,
}

/// The file itself where it is small.
pub(super) async fn page(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
    Query(form): Query<Form>,
) -> Result<Response, Problem> {
    let file = File::read(&form, &ask)?;
    let ask = ask.whole();
    let fields = field_names(&state).await;
    let asked = ask.clone().read(&Reading::new(&state.settings, &shell, fields))?;
    let href = format!("/export?{}&format={}", ask.to_params(), file.format);
    let running = state.searches.begin("export", &shell, &asked);
    let count = state.store.count(&asked.request.selection, false, BUDGET);
    let count = running.until_ended(count).await?;
    if count.events <= QUIETLY_MAX {
        return Ok(Redirect::to(&href).into_response());
    }
    let of_each = event_bytes(&state, &asked, &file, &running).await?;
    let shell = &shell.titled("Export – Search", "/search");
    let page = Confirm::new(shell, &ask, href, &file, &count, of_each);
    Ok(Page(page.render().map_err(Problem::internal)?).into_response())
}

impl<'a> Confirm<'a> {
    fn new(
        shell: &'a Shell,
        ask: &'a Ask,
        href: String,
        file: &File,
        count: &Count,
        of_each: Option<u64>,
    ) -> Self {
        let max = EVENTS_MAX as u64;
        let size = of_each.map(|each| each.saturating_mul(count.events.min(max)));
        Self {
            shell,
            ask,
            href,
            format: file.name,
            events: grouped(count.events),
            is_estimate: matches!(count.quality, Quality::Planner | Quality::Sample),
            cut: (count.events > max).then(|| grouped(max)),
            is_oldest_first: ask.sort == "old",
            size: size.map(|size| bytes(usize::try_from(size).unwrap_or(usize::MAX))),
        }
    }
}

/// The mean size of the first events in the file, if any are found in time.
async fn event_bytes(
    state: &State,
    asked: &Asked,
    file: &File,
    running: &Running,
) -> Result<Option<u64>, Problem> {
    let request = SearchRequest {
        limit: SAMPLE,
        budget: BUDGET,
        ..asked.request.clone()
    };
    let mut rows = running.rows(state, request);
    let (mut written, mut seen) = (Vec::new(), 0_u64);
    while let Some(found) = rows.next().await {
        if let Found::Rows(rows) = found? {
            for row in &rows {
                file.kind.write(&row.event, &mut written);
                seen += 1;
            }
        }
    }
    Ok((written.len() as u64).checked_div(seen))
}
