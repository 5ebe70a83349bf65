//! Tokens of programs: what they may, for how long, and over which events.

use askama::Template;
use axum::{
    Form, Json, Router,
    extract::{self, Path},
    http::StatusCode,
    response::{Html, IntoResponse, Redirect, Response},
    routing::{delete, get, post},
};
use event::Timestamp;
use serde::{Deserialize, Serialize};
use store::Token;
use uuid::Uuid;

use super::{
    Visitor,
    access::{Needed, Scope},
    secret::Secret,
};
use crate::{problem::Problem, shell::Shell, state::State, time};

/// Before the secret, so that scanners of secrets know one when they see it.
pub(super) const PREFIX: &str = "lf_";

const DAYS: u32 = 90;
const DAYS_MAX: u32 = 3660;
const DAY_MICROS: i64 = 86_400_000_000;
const NAME_CHARS_MAX: usize = 64;
/// Of everybody.
const TOKENS_MAX: usize = 1000;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/settings", get(async || Redirect::to("/settings/tokens")))
        .route("/settings/tokens", get(page).post(make_by_form))
        .route("/settings/tokens/{id}/revoke", post(revoke_by_form))
        .route("/api/v1/tokens", get(list).post(make_by_api))
        .route("/api/v1/tokens/{id}", delete(revoke_by_api))
}

#[derive(Template)]
#[template(path = "accounts/tokens.html")]
struct Page {
    shell: Shell,
    tokens: Vec<Row>,
    scopes: Vec<&'static str>,
    error: Option<String>,
    /// The new one, which is shown once.
    secret: Option<String>,
    days: u32,
}

struct Row {
    id: Uuid,
    name: String,
    scopes: String,
    made_by: String,
    last_used: String,
    expires: String,
    query: Option<String>,
    is_mine: bool,
}

/// A token as somebody wants it.
#[derive(Debug, Deserialize)]
struct Wanted {
    name: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    query: Option<String>,
    #[serde(default)]
    days: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: Uuid,
    name: String,
    scopes: Vec<String>,
    query: Option<String>,
    made_by: String,
    made_at: String,
    expires: String,
    last_used: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

fn shown(token: Token, secret: Option<String>) -> Shown {
    Shown {
        id: token.id,
        name: token.name,
        scopes: token.scopes,
        query: token.query,
        made_by: token.made_by,
        made_at: token.made_at.to_string(),
        expires: token.expires.to_string(),
        last_used: token.last_used.map(|at| at.to_string()),
        secret,
    }
}

/// Administrators see everybody's, others their own.
async fn visible(state: &State, visitor: &Visitor) -> Result<Vec<Token>, Problem> {
    let mut tokens = state.accounts.store.tokens().await?;
    if !visitor.may(Needed::Scope(Scope::Admin)) {
        tokens.retain(|token| visitor.user() == Some(&token.made_by));
    }
    Ok(tokens)
}

async fn page(extract::State(state): extract::State<State>, shell: Shell) -> Result<Response, Problem> {
    draw(&state, shell, StatusCode::OK, None, None).await
}

async fn draw(
    state: &State,
    shell: Shell,
    status: StatusCode,
    error: Option<String>,
    secret: Option<String>,
) -> Result<Response, Problem> {
    let now = Timestamp::now();
    let zone = shell.preferences.zone.clone();
    let tokens = visible(state, &shell.visitor)
        .await?
        .into_iter()
        .map(|token| Row {
            is_mine: shell.visitor.user() == Some(&token.made_by),
            id: token.id,
            name: token.name,
            scopes: token.scopes.join(" "),
            made_by: token.made_by,
            last_used: token
                .last_used
                .map_or_else(|| "never".to_owned(), |at| time::seconds(at, &zone)),
            expires: if token.expires <= now {
                "expired".to_owned()
            } else {
                format!("in {}", time::rough(token.expires.as_micros() - now.as_micros()))
            },
            query: token.query,
        });
    let may = |scope: &Scope| shell.visitor.may(Needed::Scope(*scope));
    let scopes = Scope::ALL.into_iter().filter(may).map(Scope::word).collect();
    let page = Page {
        tokens: tokens.collect(),
        scopes,
        error,
        secret,
        days: DAYS,
        shell: shell.titled("Tokens", "/settings"),
    };
    Ok((status, Html(page.render().map_err(Problem::internal)?)).into_response())
}

async fn make(state: &State, visitor: &Visitor, wanted: Wanted) -> Result<(Token, String), Problem> {
    let refuse = |why: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_token", why);
    let user = visitor
        .user()
        .ok_or_else(|| refuse("A token belongs to a user. Make an account first, under Users.".to_owned()))?;
    let name = wanted.name.trim().to_owned();
    if name.is_empty() || name.chars().count() > NAME_CHARS_MAX {
        return Err(refuse(format!(
            "A token needs a name of up to {NAME_CHARS_MAX} characters."
        )));
    }
    if wanted.scopes.is_empty() {
        return Err(refuse(
            "A token needs to be for something: choose a scope.".to_owned(),
        ));
    }
    for word in &wanted.scopes {
        let scope = Scope::of(word).ok_or_else(|| refuse(format!("{word} is not a scope.")))?;
        if !visitor.may(Needed::Scope(scope)) {
            return Err(refuse(format!(
                "You may not give {word}: you do not have it yourself."
            )));
        }
    }
    let days = wanted.days.unwrap_or(DAYS);
    if !(1..=DAYS_MAX).contains(&days) {
        return Err(refuse(format!("A token holds for 1 to {DAYS_MAX} days.")));
    }
    let query = wanted.query.filter(|query| !query.trim().is_empty());
    if let Some(text) = &query {
        query::parse(text, &query::Options::default()).map_err(Problem::query)?;
    }
    if state.accounts.store.tokens().await?.len() >= TOKENS_MAX {
        return Err(refuse(format!(
            "There are {TOKENS_MAX} tokens: revoke some first."
        )));
    }
    let (secret, now) = (Secret::random(), Timestamp::now());
    let token = Token {
        id: Uuid::new_v4(),
        hash: secret.hash(),
        name,
        scopes: wanted.scopes,
        query,
        made_by: user.to_owned(),
        made_at: now,
        expires: Timestamp::from_micros(now.as_micros() + i64::from(days) * DAY_MICROS),
        last_used: None,
    };
    state.accounts.store.add_token(&token).await?;
    tracing::info!(token = token.name, user, "token made");
    Ok((token, format!("{PREFIX}{}", secret.text())))
}

async fn make_by_form(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Form(fields): Form<Vec<(String, String)>>,
) -> Result<Response, Problem> {
    let field = |name: &str| {
        let mut found = fields.iter().filter(|(field, _)| field == name);
        found.next().map(|(_, value)| value.clone())
    };
    let scopes = fields
        .iter()
        .filter(|(field, _)| field == "scope")
        .map(|(_, value)| value.clone());
    let wanted = Wanted {
        name: field("name").unwrap_or_default(),
        scopes: scopes.collect(),
        query: field("query"),
        days: field("days").map(|days| days.trim().parse().unwrap_or(0)),
    };
    match make(&state, &shell.visitor, wanted).await {
        Ok((_, secret)) => draw(&state, shell, StatusCode::CREATED, None, Some(secret)).await,
        Err(problem) if problem.is_about_visitor() => {
            let (status, detail) = (problem.status(), problem.detail().to_owned());
            draw(&state, shell, status, Some(detail), None).await
        }
        Err(problem) => Err(problem),
    }
}

async fn revoke(state: &State, visitor: &Visitor, id: Uuid) -> Result<(), Problem> {
    let is_visible = visible(state, visitor).await?.iter().any(|token| token.id == id);
    if !is_visible || !state.accounts.store.remove_token(id).await? {
        return Err(Problem::not_found("There is no such token."));
    }
    state.accounts.forget_all();
    tracing::info!(token = %id, user = visitor.name(), "token revoked");
    Ok(())
}

async fn revoke_by_form(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(id): Path<Uuid>,
) -> Result<Redirect, Problem> {
    revoke(&state, &shell.visitor, id).await?;
    Ok(Redirect::to("/settings/tokens"))
}

async fn list(
    extract::State(state): extract::State<State>,
    shell: Shell,
) -> Result<Json<Vec<Shown>>, Problem> {
    let tokens = visible(&state, &shell.visitor).await?;
    Ok(Json(tokens.into_iter().map(|token| shown(token, None)).collect()))
}

async fn make_by_api(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Json(wanted): Json<Wanted>,
) -> Result<(StatusCode, Json<Shown>), Problem> {
    let (token, secret) = make(&state, &shell.visitor, wanted).await?;
    Ok((StatusCode::CREATED, Json(shown(token, Some(secret)))))
}

async fn revoke_by_api(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    revoke(&state, &shell.visitor, id).await?;
    Ok(StatusCode::NO_CONTENT)
}
