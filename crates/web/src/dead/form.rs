//! The forms of the pages: a question first, and with `step=go` the act.

use ::dead::{Mode, NoRate, PerSecond};
use askama::Template;
use axum::{
    body::Bytes,
    extract::State as Extract,
    response::{Html, Redirect},
};
use uuid::Uuid;

use super::{
    act::{Handling, Outcome, What},
    group::Which,
    order::{Meant, Order, TYPED_FROM},
    trial::{Trial, try_out},
};
use crate::{problem::Problem, shell::Shell, state::State};

/// What a form says; of its boxes `ids`, any number may be ticked.
fn order(body: &[u8]) -> Result<Order, Problem> {
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
            "key" => order.key = value,
            "mode" => order.mode = mode(&value)?,
            "per_second" => order.per_second = per_second(&value)?,
            _ => {}
        }
    }
    Ok(order)
}

fn mode(text: &str) -> Result<Mode, Problem> {
    match text {
        "" | "as_is" => Ok(Mode::AsIs),
        "reparse" => Ok(Mode::Reparse),
        _ => Err(Problem::bad_request("mode", "mode must be as_is or reparse.")),
    }
}

fn per_second(text: &str) -> Result<Option<PerSecond>, Problem> {
    match text.trim() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|no_rate: NoRate| Problem::bad_request("per_second", format!("{no_rate}."))),
    }
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

async fn handle(handling: Handling, state: &State, shell: &Shell, body: &[u8]) -> Result<Redirect, Problem> {
    let order = order(body)?;
    handling.be_done(state, shell, &order).await?;
    Ok(back(&order))
}

pub(super) async fn hold(
    Extract(state): Extract<State>,
    shell: Shell,
    body: Bytes,
) -> Result<Redirect, Problem> {
    handle(Handling::Hold, &state, &shell, &body).await
}

pub(super) async fn release(
    Extract(state): Extract<State>,
    shell: Shell,
    body: Bytes,
) -> Result<Redirect, Problem> {
    handle(Handling::Release, &state, &shell, &body).await
}

/// What is asked before anything is done.
struct Question {
    /// Those that were ticked.
    ids: Vec<String>,
    count: usize,
    /// So many more are held, and not meant.
    held: usize,
    /// Names the act, so that a form that is sent twice does it once.
    key: Uuid,
    /// Of letters that are to be put back.
    trial: Option<Trial>,
}

impl Question {
    fn of(order: &Order, meant: &Meant, trial: Option<Trial>) -> Self {
        Self {
            ids: order.ids.clone(),
            count: meant.letters.len(),
            held: meant.held,
            key: Uuid::new_v4(),
            trial,
        }
    }

    const fn is_typed(&self) -> bool {
        self.count > TYPED_FROM
    }
}

#[derive(Template)]
#[template(path = "dead/act.html")]
struct Page<'a> {
    shell: &'a Shell,
    what: What,
    mode: Mode,
    which: Which,
    /// What was done, or what is asked.
    step: Result<Outcome, Question>,
}

impl Page<'_> {
    fn is_requeue(&self) -> bool {
        self.what == What::Requeue
    }

    fn is_reparse(&self) -> bool {
        self.mode == Mode::Reparse
    }

    fn answer(&self) -> Result<Html<String>, Problem> {
        Ok(Html(self.render().map_err(Problem::internal)?))
    }
}

async fn page(what: What, state: State, shell: Shell, body: &[u8]) -> Result<Html<String>, Problem> {
    let order = order(body)?;
    let (which, mode) = (order.which(), order.mode);
    let title = match what {
        What::Requeue => "Put back – Dead letters",
        What::Discard => "Discard – Dead letters",
    };
    let titled = shell.clone().titled(title, "/dead-letters");
    let step = if order.step == "go" {
        Ok(what.outcome(state, shell, order).await?)
    } else {
        let meant = order.letters(&state).await?;
        let trial = match what {
            What::Requeue => Some(try_out(&state, &order, &meant.letters).await?),
            What::Discard => None,
        };
        Err(Question::of(&order, &meant, trial))
    };
    Page {
        shell: &titled,
        what,
        mode,
        which,
        step,
    }
    .answer()
}

/// The trial first, and with `step=go` the act.
pub(super) async fn requeue(
    Extract(state): Extract<State>,
    shell: Shell,
    body: Bytes,
) -> Result<Html<String>, Problem> {
    page(What::Requeue, state, shell, &body).await
}

/// The question first, and with `step=go` the act.
pub(super) async fn discard(
    Extract(state): Extract<State>,
    shell: Shell,
    body: Bytes,
) -> Result<Html<String>, Problem> {
    page(What::Discard, state, shell, &body).await
}
