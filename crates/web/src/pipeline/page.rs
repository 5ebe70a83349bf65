//! The pages: map and table of the pipeline, and who is connected.

use std::time::Instant;

use askama::Template;
use axum::{
    extract::{Query, State as Extract},
    response::Html,
};
use jiff::Timestamp;
use serde::Deserialize;

use super::{
    api::{Connected, connected},
    durability::{Input, Process, inputs},
    links::{Links, View},
    map,
    panel::Panel,
    picture::{Curves, Kind, Node, Picture, RabbitNode},
    window::{Window, hour},
    words::{self, Text, Texts},
};
use crate::{html, problem::Problem, shell::Shell, state::State};

#[derive(Template)]
#[template(path = "pipeline/page.html")]
struct Page<'a> {
    shell: &'a Shell,
    picture: &'a Picture,
    links: Links,
    map: String,
    summary: String,
    texts: Texts,
    inputs: Vec<Input>,
    /// When this process began to hear what acks mean.
    began: Timestamp,
    clients: u64,
    /// The box that is open.
    panel: Option<Panel>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    view: String,
    window: String,
    open: String,
}

impl Page<'_> {
    fn text(&self, node: &Node, field: &str) -> String {
        self.plain(&format!("{}/{field}", node.id))
    }

    fn class(&self, node: &Node, field: &str) -> &'static str {
        let text = self.texts.get(&format!("{}/{field}", node.id));
        text.map_or("", |text: &Text| text.c)
    }

    fn plain(&self, field: &str) -> String {
        self.texts
            .get(field)
            .map(|text| text.t.clone())
            .unwrap_or_default()
    }

    fn href(&self, node: &Node) -> String {
        self.links.open(&node.id)
    }

    fn is_map(&self) -> bool {
        self.links.view == View::Map
    }

    fn map_href(&self) -> String {
        self.links.view(View::Map)
    }

    fn table_href(&self) -> String {
        self.links.view(View::Table)
    }

    /// Words and address of each window; the one that is shown has no address.
    fn windows(&self) -> impl Iterator<Item = (&'static str, Option<String>)> {
        Window::ALL.into_iter().map(|window| {
            let is_shown = window == self.links.window;
            (window.words(), (!is_shown).then(|| self.links.window(window)))
        })
    }

    fn rates_over(&self) -> &'static str {
        self.links.window.words()
    }

    fn trends_over(&self) -> &'static str {
        self.links.window.trend().words()
    }

    fn strip(&self, process: &Process) -> String {
        process.strip(self.picture.as_of)
    }

    /// Each intake process once: its inputs have the same history.
    fn histories(&self) -> &[Process] {
        self.inputs
            .first()
            .map_or(&[], |input| input.processes.as_slice())
    }

    fn queues(&self) -> impl Iterator<Item = &Node> {
        self.picture.nodes.iter().filter(|node| self.is_queue(node))
    }

    fn of_rabbit(&self, node: &RabbitNode, field: &str) -> String {
        self.plain(&format!("RabbitMQ:{}/{field}", node.name))
    }

    fn class_of_node(&self, node: &RabbitNode) -> &'static str {
        self.class_of(&format!("RabbitMQ:{}/sign", node.name))
    }

    fn class_of(&self, name: &str) -> &'static str {
        self.texts.get(name).map_or("", |text: &Text| text.c)
    }

    const fn is_queue(&self, node: &Node) -> bool {
        matches!(node.kind, Kind::Queue)
    }
}

pub(super) async fn page(
    Extract(state): Extract<State>,
    shell: Shell,
    Query(params): Query<Params>,
) -> Result<Html<String>, Problem> {
    let links = Links {
        view: View::read(&params.view)?,
        window: Window::read(&params.window)?,
        open: params.open,
    };
    let picture = state.picture(links.window).await;
    let (known, depths, now) = (state.hub.all(), state.fills.depths(), Instant::now());
    let of_the_hour = Curves {
        known: &known,
        depths: &depths,
        grid: hour(now),
    };
    let page = Page {
        shell: &shell.titled("Pipeline", "/pipeline"),
        map: map::svg(&picture, &links),
        texts: words::texts(&picture),
        summary: words::summary(&picture),
        inputs: inputs(&state.all, &known, now),
        began: state.hub.began,
        clients: connected(&known, now).1,
        panel: Panel::new(&links.open, &picture, of_the_hour, now),
        picture: &picture,
        links,
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}

#[derive(Template)]
#[template(path = "pipeline/clients.html")]
struct ClientsPage<'a> {
    shell: &'a Shell,
    clients: Vec<Connected>,
    total: u64,
    now: Timestamp,
}

impl ClientsPage<'_> {
    const fn is_cut(&self) -> bool {
        self.clients.len() as u64 != self.total
    }

    fn tls_name(&self, one: &Connected) -> String {
        one.client
            .tls_name
            .as_deref()
            .map_or_else(|| "–".to_owned(), |name| html::Html::line(name).to_string())
    }

    /// "3 min ago".
    fn last(&self, one: &Connected) -> String {
        match one.client.last_at {
            None => "nothing yet".to_owned(),
            Some(at) => {
                let micros = self.now.as_microsecond() - at.as_microsecond();
                format!("{} ago", crate::time::rough(micros.max(0)))
            }
        }
    }
}

pub(super) async fn clients(Extract(state): Extract<State>, shell: Shell) -> Result<Html<String>, Problem> {
    let (clients, total) = connected(&state.hub.all(), Instant::now());
    let page = ClientsPage {
        shell: &shell.titled(format!("{total} clients – Pipeline"), "/pipeline"),
        clients,
        total,
        now: Timestamp::now(),
    };
    Ok(Html(page.render().map_err(Problem::internal)?))
}
