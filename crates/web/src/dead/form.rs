//! The forms of the pages: a question first, and with `step=go` the act.

use askama::Template;
use axum::{
    body::Bytes,
    extract::State as Extract,
    response::{Html, Redirect},
};

use super::{
    act::{Meant, Order, Outcome, TYPED_FROM, Trial, drop_all, hold_all, put_back, release_all, try_out},
    group::Which,
    progress::Progress,
};
use crate::{problem::Problem, shell::Shell, state::State};

/// What a form says; of its boxes `ids`, any number may be ticked.
fn order(body: &[u8]) -> Order {
    let mut order = Order::default();
    for (name, value) in form_urlencoded::parse(body) {
        let value = value.into_owned();
        match &*name {
            "ids" => order.ids.push(value),
            "stage" => order.stage = value,
            "reason" => order.reason = value,
            "fingerprint" => order.fingerprint = value,
            "q" => order.q = value,
            "id" => order.id = value,
            "step" => order.step = value,
            "why" => order.why = value,
            "count" => order.count = value,
            _ => {}
        }
    }
    order
}

/// Back to where the form was.
fn back(order: &Order) -> Redirect {
    if order.id.is_empty() {
        Redirect::to(&format!("/dead-letters?{}", order.which().params()))
    } else {
        let id: String = form_urlencoded::byte_serialize(order.id.as_bytes()).collect();
        Redirect::to(&format!("/dead-letters/{id}"))
    }
}

pub(super) async fn hold(
    Extract(state): Extract<State>,
    shell: Shell,
    body: Bytes,
) -> Result<Redirect, Problem> {
    let order = order(&body);
    hold_all(&state, &shell, &order).await?;
    Ok(back(&order))
}

pub(super) async fn release(
    Extract(state): Extract<State>,
    shell: Shell,
    body: Bytes,
) -> Result<Redirect, Problem> {
    let order = order(&body);
    release_all(&state, &shell, &order).await?;
    Ok(back(&order))
}

#[derive(Template)]
#[template(path = "dead/act.html")]
struct Page<'a> {
    shell: &'a Shell,
    what: &'static str,
    which: &'a Which,
    /// Those that were ticked.
    ids: &'a [String],
    count: usize,
    /// So many of them are held, and not meant.
    held: usize,
    trial: Option<Trial>,
    outcome: Option<Outcome>,
}

impl Page<'_> {
    fn is_requeue(&self) -> bool {
        self.what == "requeue"
    }

    const fn is_typed(&self) -> bool {
        self.count > TYPED_FROM
    }

    fn answer(&self) -> Result<Html<String>, Problem> {
        Ok(Html(self.render().map_err(Problem::internal)?))
    }
}

/// The trial first, and with `step=go` the act.
pub(super) async fn requeue(
    Extract(state): Extract<State>,
    shell: Shell,
    body: Bytes,
) -> Result<Html<String>, Problem> {
    let order = order(&body);
    let Meant { letters, held } = order.letters(&state).await?;
    let (trial, outcome) = if order.step == "go" {
        (
            None,
            Some(put_back(&state, &shell, &order, &letters, &Progress::unheard()).await?),
        )
    } else {
        (Some(try_out(&state, &letters).await), None)
    };
    Page {
        shell: &shell.titled("Put back – Dead letters", "/dead-letters"),
        what: "requeue",
        which: &order.which(),
        ids: &order.ids,
        count: letters.len(),
        held,
        trial,
        outcome,
    }
    .answer()
}

/// The question first, and with `step=go` the act.
pub(super) async fn discard(
    Extract(state): Extract<State>,
    shell: Shell,
    body: Bytes,
) -> Result<Html<String>, Problem> {
    let order = order(&body);
    let Meant { letters, held } = order.letters(&state).await?;
    let outcome = if order.step == "go" {
        Some(drop_all(&state, &shell, &order, &letters, &Progress::unheard()).await?)
    } else {
        None
    };
    Page {
        shell: &shell.titled("Discard – Dead letters", "/dead-letters"),
        what: "discard",
        which: &order.which(),
        ids: &order.ids,
        count: letters.len(),
        held,
        trial: None,
        outcome,
    }
    .answer()
}
