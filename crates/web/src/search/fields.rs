//! The fields of what a search finds: which there are, how many events have them, and what mostly stands there.

use std::time::Duration;

use askama::Template;
use axum::{
    extract::{Query, State as Extract},
    http::StatusCode,
    response::{Html as Page, IntoResponse, Response},
};
use query::Field;
use store::{FieldKind, FieldSeen, Fields, Values};

use super::{
    ask::{Ask, Asked, Reading},
    facets::share,
    field_names,
    narrow::{Narrow, Narrowing},
    row::prefix,
};
use crate::{html::Html, number::grouped, problem::Problem, shell::Shell, state::State};

/// For each of the two looks.
const BUDGET: Duration = Duration::from_secs(3);
/// Fields of the page; the API has all.
const FIELDS_MAX: usize = 100;
/// The most frequent values of each.
const VALUES: usize = 5;
const LABEL_BYTES_MAX: usize = 80;
/// As many as the store looks at.
const SAMPLE_MAX: usize = 10_000;

#[derive(Template)]
#[template(path = "search/fields.html")]
struct List<'a> {
    shell: &'a Shell,
    ask: &'a Ask,
    /// The same search, for the other views.
    params: String,
    rows: Vec<Row>,
    sample: String,
    is_sample: bool,
    is_whole: bool,
    more: usize,
    problem: Option<&'a Problem>,
}

struct Row {
    name: String,
    kind: &'static str,
    share: String,
    distinct: String,
    having: String,
    column: Option<String>,
    values: Vec<Value>,
}

struct Value {
    label: Html,
    count: String,
    narrow: Narrow,
}

impl Row {
    fn new(seen: &FieldSeen, counted: Values, sample: usize, narrowing: &Narrowing) -> Self {
        let name = seen.field.name();
        let values = counted.values.into_iter().map(|(value, count)| Value {
            narrow: narrowing.by(&name, &value),
            label: Html::line(prefix(&value, LABEL_BYTES_MAX)),
            count: grouped(count as u64),
        });
        Self {
            kind: match seen.kind {
                FieldKind::Text => "text",
                FieldKind::Number => "number",
                FieldKind::Bool => "bool",
            },
            share: share(seen.present, sample),
            distinct: grouped(seen.distinct as u64),
            having: narrowing.having(&name),
            column: narrowing.column(&name),
            values: values.collect(),
            name,
        }
    }
}

async fn counted(state: &State, asked: &Asked) -> Result<(Fields, Vec<Values>), Problem> {
    let (what, budget) = (&asked.request.selection, BUDGET.min(asked.request.budget));
    let fields = state.store.fields(what, budget).await?;
    let names: Vec<Field> = fields
        .fields
        .iter()
        .take(FIELDS_MAX)
        .map(|seen| seen.field.clone())
        .collect();
    let values = state.store.values_of_each(what, &names, VALUES, budget).await?;
    Ok((fields, values))
}

pub(super) async fn page(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(ask): Query<Ask>,
) -> Result<Response, Problem> {
    let shell = &shell.titled("Fields – Search", "/search");
    let kept = ask.whole();
    let view = List {
        shell,
        params: kept.to_params(),
        ask: &kept,
        rows: Vec::new(),
        sample: String::new(),
        is_sample: false,
        is_whole: true,
        more: 0,
        problem: None,
    };
    let found = async {
        let reading = Reading::new(&state.settings, shell, field_names(&state).await);
        let asked = ask.whole().without_limit().read(&reading)?;
        let (fields, values) = counted(&state, &asked).await?;
        Ok::<_, Problem>((asked, fields, values))
    };
    let (status, page) = match found.await {
        Ok((asked, fields, values)) => {
            let narrowing = Narrowing::new(&asked);
            let is_whole = fields.complete && values.iter().all(|values| values.complete);
            let rows = fields.fields.iter().zip(values);
            let view = List {
                rows: rows
                    .map(|(seen, values)| Row::new(seen, values, fields.sample, &narrowing))
                    .collect(),
                sample: grouped(fields.sample as u64),
                is_sample: fields.sample >= SAMPLE_MAX,
                is_whole,
                more: fields.fields.len().saturating_sub(FIELDS_MAX),
                ..view
            };
            (StatusCode::OK, view.render())
        }
        Err(problem) => {
            let view = List {
                problem: Some(&problem),
                ..view
            };
            (problem.status(), view.render())
        }
    };
    Ok((status, Page(page.map_err(Problem::internal)?)).into_response())
}
