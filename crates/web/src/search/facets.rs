//! The most frequent values of what a search found, each a link to only those events, or to all but those.

use std::time::Duration;

use askama::Template;
use query::{Field, WordField};
use store::{Fields, Values};

use super::{
    ask::Asked,
    narrow::{Narrow, Narrowing},
    row::prefix,
};
use crate::{html::Html, number::grouped, problem::Problem, state::State};

/// For each of the requests.
const BUDGET: Duration = Duration::from_secs(3);
const VALUES: usize = 10;
/// Names in the list of all fields.
const NAMES: usize = 60;
const LABEL_BYTES_MAX: usize = 120;

/// Always there, in this order.
fn usual() -> [(Field, bool); 4] {
    [
        (Field::Severity, true),
        (Field::Word(WordField::Hostname), true),
        (Field::Word(WordField::AppName), true),
        (Field::Tags, false),
    ]
}

#[derive(Template)]
#[template(path = "search/facets.html")]
pub(super) struct Facets {
    failure: Option<String>,
    sample: String,
    facets: Vec<Facet>,
    names: Vec<Name>,
}

struct Facet {
    name: String,
    is_open: bool,
    values: Vec<Value>,
    /// "12 more values".
    more: Option<String>,
    missing: Option<String>,
}

struct Value {
    label: Html,
    count: String,
    narrow: Narrow,
}

/// A field that some events have.
struct Name {
    name: String,
    share: String,
    href: String,
    column: Option<String>,
}

impl Facets {
    pub(super) async fn of(state: &State, asked: &Asked) -> Self {
        match counted(state, asked).await {
            Ok((fields, values)) => drawn(&fields, values, asked),
            Err(problem) => Self {
                failure: Some(problem.detail().to_owned()),
                sample: String::new(),
                facets: Vec::new(),
                names: Vec::new(),
            },
        }
    }
}

async fn counted(state: &State, asked: &Asked) -> Result<(Fields, Vec<(Field, bool, Values)>), Problem> {
    let what = &asked.request.selection;
    let (names, are_open): (Vec<_>, Vec<_>) = usual().into_iter().unzip();
    let values = state.store.values_of_each(what, &names, VALUES, BUDGET).await?;
    let named = names.into_iter().zip(are_open).zip(values);
    let counted = named
        .map(|((field, is_open), values)| (field, is_open, values))
        .collect();
    let fields = state.store.fields(what, BUDGET).await?;
    Ok((fields, counted))
}

fn drawn(fields: &Fields, counted: Vec<(Field, bool, Values)>, asked: &Asked) -> Facets {
    let narrowing = Narrowing::new(asked);
    let facets = counted
        .into_iter()
        .filter(|(_, _, values)| !values.values.is_empty())
        .map(|(field, is_open, values)| facet(&field, is_open, values, &narrowing));
    let sample = fields.sample;
    let names = fields.fields.iter().take(NAMES).map(|seen| {
        let name = seen.field.name();
        Name {
            share: share(seen.present, sample),
            href: narrowing.having(&name),
            column: narrowing.column(&name),
            name,
        }
    });
    Facets {
        failure: None,
        sample: grouped(sample as u64),
        facets: facets.collect(),
        names: names.collect(),
    }
}

fn facet(field: &Field, is_open: bool, values: Values, narrowing: &Narrowing) -> Facet {
    let name = field.name();
    let more = values.distinct.saturating_sub(values.values.len());
    Facet {
        is_open,
        values: values
            .values
            .into_iter()
            .map(|(value, count)| Value {
                narrow: narrowing.by(&name, &value),
                label: Html::line(prefix(&value, LABEL_BYTES_MAX)),
                count: grouped(count as u64),
            })
            .collect(),
        more: (more > 0).then(|| grouped(more as u64)),
        missing: (values.missing > 0).then(|| grouped(values.missing as u64)),
        name,
    }
}

pub(super) fn share(part: usize, whole: usize) -> String {
    match (part * 100).checked_div(whole) {
        None => String::new(),
        Some(0) => "<1 %".to_owned(),
        Some(percent) => format!("{percent} %"),
    }
}
