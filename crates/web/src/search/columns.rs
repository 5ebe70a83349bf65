//! Columns that somebody chose beside the usual ones.

use std::borrow::Cow;

use event::Event;
use query::{Expr, Field, Options, Term};

use super::row::prefix;
use crate::{html::Html, problem::Problem};

const COLUMNS_MAX: usize = 8;
/// Bytes of a value that a line shows.
const VALUE_BYTES_MAX: usize = 256;
/// They have columns already.
const USUAL: [&str; 6] = [
    "timestamp",
    "received_at",
    "severity",
    "hostname",
    "app_name",
    "message",
];

/// A column of the table, by the name that queries use.
#[derive(Debug, Clone)]
pub(crate) struct Column {
    pub(crate) name: String,
    field: Field,
}

impl Column {
    /// Those of an address: names with commas between them.
    pub(super) fn read(cols: &str) -> Result<Vec<Self>, Problem> {
        let names = cols.split(',').map(str::trim).filter(|name| !name.is_empty());
        let columns: Vec<_> = names
            .map(|name| {
                named(name).map(|field| Self {
                    name: name.to_owned(),
                    field,
                })
            })
            .collect::<Result<_, _>>()?;
        if columns.len() > COLUMNS_MAX {
            let detail = format!("cols may name {COLUMNS_MAX} fields at most.");
            return Err(Problem::bad_request("bad_parameter", detail));
        }
        Ok(columns)
    }

    /// What an event has there; of several values all.
    pub(super) fn text(&self, event: &Event<'_>) -> String {
        let values: Vec<Cow<'_, str>> = self.field.values(event);
        values.join(", ")
    }

    pub(super) fn cell(&self, event: &Event<'_>) -> Html {
        Html::line(prefix(&self.text(event), VALUE_BYTES_MAX))
    }
}

/// `cols` with one more; `None` for what has a column already, or can have none.
pub(super) fn with(cols: &str, name: &str) -> Option<String> {
    let is_there = cols.split(',').any(|there| there == name);
    let is_full = cols.split(',').count() >= COLUMNS_MAX;
    if USUAL.contains(&name) || name.contains(',') || is_there || is_full {
        return None;
    }
    Some(if cols.is_empty() {
        name.to_owned()
    } else {
        format!("{cols},{name}")
    })
}

/// `cols` without one.
pub(super) fn without(cols: &str, name: &str) -> String {
    let others = cols.split(',').filter(|there| *there != name);
    others.collect::<Vec<_>>().join(",")
}

/// The field that a query would name so.
pub(crate) fn named(name: &str) -> Result<Field, Problem> {
    let read = query::parse(&format!("{name}:*"), &Options::default());
    match read.as_ref().map(|read| read.query.expr()) {
        Ok(Expr::Term(Term::Exists(field))) => Ok(field.clone()),
        _ => Err(Problem::not_found(
            "There is no such field. Custom fields are written fields.<name>.",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_chosen_once_and_taken_away() {
        assert_eq!(with("", "procid").as_deref(), Some("procid"));
        assert_eq!(
            with("procid", "fields.user").as_deref(),
            Some("procid,fields.user")
        );
        for name in ["procid", "hostname", "fields.\"a,b\""] {
            assert_eq!(with("procid", name), None, "{name}");
        }
        assert_eq!(with("a,b,c,d,e,f,g,h", "procid"), None);
        assert_eq!(without("procid,msgid", "procid"), "msgid");
        assert_eq!(without("procid", "procid"), "");
        assert_eq!(Column::read("procid,fields.user").unwrap().len(), 2);
        assert!(Column::read("host:web01 OR x").is_err());
        assert!(Column::read(&"procid,".repeat(9)).is_err());
    }
}
