//! The page of all sources, and the part of it that changes.

use std::time::Instant;

use askama::Template;
use axum::{
    extract::{Query, State as Extract},
    response::Html as Page,
};

use super::{
    clock::skew_text,
    find::{By, Listed, Params, Sort, list as listed},
    judge::{Judged, LEARNING_MICROS},
    via::{Connected, Drops, Via, kernel_drops},
};
use crate::{
    html::Html, hub::Known, number::grouped, problem::Problem, shell::Shell, spark::spark, state::State, time,
};

/// The states by which sources are filtered, and their words.
const STATES: [(&str, &str); 7] = [
    ("", "all"),
    ("silent", "silent"),
    ("clock", "clock off"),
    ("dropping", "dropping"),
    ("unknown", "unknown"),
    ("muted", "muted"),
    ("ok", "sends"),
];

/// What changes: `table.html`, which stands in `list.html`, and is asked for again and again.
struct Table<'a> {
    shell: &'a Shell,
    params: &'a Params,
    listed: &'a Listed,
    sort: Sort,
    connected: Connected<'a>,
    drops: Vec<Drops>,
    problem: Option<&'a Problem>,
}

#[derive(Template)]
#[template(path = "sources/list.html")]
struct List<'a> {
    shell: &'a Shell,
    params: &'a Params,
    table: &'a Table<'a>,
}

#[derive(Template)]
#[template(path = "sources/table.html")]
struct Fragment<'a> {
    table: &'a Table<'a>,
}

/// A column, and what its head is.
struct Head {
    name: String,
    by: Option<By>,
    class: &'static str,
}

/// Where a source comes from, in one line.
fn via_text(all: &[Via]) -> Html {
    let text: Vec<_> = all
        .iter()
        .map(|via| {
            let input = via
                .input
                .as_deref()
                .map(|input| format!("{input} "))
                .unwrap_or_default();
            let name = via
                .tls_name
                .as_deref()
                .map(|name| format!(" CN={name}"))
                .unwrap_or_default();
            format!("{input}{}{name}", via.peer_addr)
        })
        .collect();
    Html::line(&text.join(", "))
}

/// The page of a source.
pub(super) fn href_of(hostname: &str) -> String {
    let name: String = form_urlencoded::byte_serialize(hostname.as_bytes()).collect();
    // In a path a plus is a plus.
    format!("/sources/{}", name.replace('+', "%20"))
}

impl List<'_> {
    fn states(&self) -> &'static [(&'static str, &'static str)] {
        &STATES
    }

    /// The orders in the usual way round, and the one that is there.
    fn orders(&self) -> Vec<(String, String)> {
        let name = |by: By| format!("by {}", by.word());
        let usual = By::ALL.map(|by| {
            (
                Sort {
                    by,
                    is_reversed: false,
                }
                .word(),
                name(by),
            )
        });
        let sort = self.table.sort;
        let reversed = sort
            .is_reversed
            .then(|| (sort.word(), format!("{}, reversed", name(sort.by))));
        usual.into_iter().chain(reversed).collect()
    }
}

impl<'a> Table<'a> {
    fn heads(&self) -> Vec<Head> {
        let head = |name: &str, by, class| Head {
            name: name.to_owned(),
            by,
            class,
        };
        vec![
            head("State", Some(By::State), ""),
            head("Host", Some(By::Hostname), ""),
            head("Via", None, ""),
            head("Per 5 min", Some(By::Rate), "count"),
            head("24 h", None, ""),
            head(
                &format!("Last seen ({})", self.shell.preferences.zone_name),
                Some(By::Last),
                "",
            ),
            head("Usual gap", Some(By::Gap), ""),
            head("Clock", Some(By::Clock), ""),
            head("Defects", Some(By::Defects), "count"),
            head("Why", None, ""),
            head("Since", None, ""),
        ]
    }

    /// Whether nothing is filtered.
    fn is_all(&self) -> bool {
        self.params.q.is_empty() && self.params.state.is_empty() && self.params.cursor.is_empty()
    }

    fn aria(&self, head: &Head) -> Option<&'static str> {
        self.sort.aria(head.by?)
    }

    /// The same list in the order of a column.
    fn sorted(&self, by: &By) -> String {
        self.address(&self.sort.toggled(*by).word(), "")
    }

    fn address(&self, sort: &str, cursor: &str) -> String {
        let mut params = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [
            ("q", &*self.params.q),
            ("state", &*self.params.state),
            ("sort", sort),
            ("cursor", cursor),
        ] {
            if !value.is_empty() {
                params.append_pair(name, value);
            }
        }
        match params.finish() {
            params if params.is_empty() => "/sources".to_owned(),
            params => format!("/sources?{params}"),
        }
    }

    fn next(&self) -> Option<String> {
        let next = self.listed.next.as_ref()?;
        Some(self.address(&self.sort.word(), next))
    }

    fn name(&self, source: &Judged) -> Html {
        Html::line(source.name())
    }

    fn href(&self, source: &Judged) -> String {
        href_of(&source.row.hostname)
    }

    fn via(&self, source: &Judged) -> Html {
        via_text(&self.connected.via(source))
    }

    fn spark(&self, source: &Judged) -> String {
        spark(&source.row.hours)
    }

    /// Events in the last five minutes; "≈" before an estimate.
    fn rate(&self, source: &Judged) -> String {
        match self.listed.lately.rate(&source.row.hostname) {
            Some((events, true)) => grouped(events),
            Some((events, false)) if events > 0 => format!("≈ {}", grouped(events)),
            // Too slow to be among the newest events.
            Some((_, false)) if source.last_hours() > 0 => "few".to_owned(),
            Some((_, false)) => "0".to_owned(),
            None => "unknown".to_owned(),
        }
    }

    fn last_seen(&self, source: &Judged) -> String {
        if !source.is_seen {
            return "never".to_owned();
        }
        let at = time::seconds(source.row.last_seen, &self.shell.preferences.zone);
        format!("{at}, {} ago", time::rough(source.quiet_micros))
    }

    fn clock(&self, source: &Judged) -> String {
        let skew = source.lately.as_ref().and_then(|lately| lately.skew_micros());
        skew.map_or_else(|| "–".to_owned(), skew_text)
    }

    fn defects(&self, source: &Judged) -> String {
        let share = source.lately.as_ref().map(|lately| lately.defect_share() * 100.0);
        match share {
            None => "–".to_owned(),
            Some(share) if share > 0.0 && share < 1.0 => "< 1 %".to_owned(),
            Some(share) => format!("{share:.0} %"),
        }
    }

    fn since(&self, source: &Judged) -> String {
        time::show(source.row.first_seen, &self.shell.preferences.zone, "%Y-%m-%d")
    }

    /// How long ago the first of all was seen, while that is less than it takes to know a rhythm.
    fn learning(&self) -> Option<String> {
        let first = self.listed.first_seen?;
        let age = event::Timestamp::now().as_micros() - first.as_micros();
        (self.listed.is_whole && self.params.q.is_empty() && age < LEARNING_MICROS).then(|| time::rough(age))
    }
}

impl Drops {
    fn rate(&self) -> String {
        match self.per_min {
            Some(per_min) if per_min > 0.0 => format!(", {per_min:.0} per minute now"),
            Some(_) => ", none in the last minute".to_owned(),
            None => String::new(),
        }
    }
}

pub(super) async fn list(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(params): Query<Params>,
) -> Result<Page<String>, Problem> {
    let known: Vec<Known> = state.hub.all();
    let sort = Sort::of(&params.sort)?;
    let found = listed(&state, &params, &known).await;
    if let Err(problem) = &found
        && problem.is_about_visitor()
    {
        return Err(problem.clone());
    }
    let nothing = Listed {
        is_whole: true,
        ..Listed::default()
    };
    let all = found.as_ref().unwrap_or(&nothing);
    let title = match all.silent {
        0 => format!("{} sources", all.n),
        silent => format!("{silent} silent of {} sources", all.n),
    };
    let shell = shell.titled(title, "/sources");
    let now = Instant::now();
    let table = Table {
        shell: &shell,
        params: &params,
        listed: all,
        sort,
        connected: Connected::of(&known, now),
        drops: kernel_drops(&known, now),
        problem: found.as_ref().err(),
    };
    let html = if params.part == "table" {
        Fragment { table: &table }.render()
    } else {
        List {
            shell: &shell,
            params: &params,
            table: &table,
        }
        .render()
    };
    Ok(Page(html.map_err(Problem::internal)?))
}
