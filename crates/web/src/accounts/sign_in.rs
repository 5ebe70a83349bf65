//! Signing in and out, and becoming a user by a link.

use std::{
    net::{IpAddr, SocketAddr},
    time::Instant,
};

use askama::Template;
use axum::{
    Form, Router,
    extract::{self, ConnectInfo, Path, Query},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Redirect, Response},
    routing::{get, post},
};
use event::Timestamp;
use serde::Deserialize;
use store::{Accepted, Session, User};

use super::{Accounts, Visitor, access::Role, secret::Secret};
use crate::{
    problem::Problem,
    shell::{Shell, local_path},
    state::State,
};

/// One text for every failure, so that names cannot be found out.
const WRONG: &str = "Name or password is wrong.";
const NAME_BYTES_MAX: usize = 64;

pub(super) fn routes() -> Router<State> {
    Router::new()
        .route("/sign-in", get(form).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/set-up/{secret}", get(invited).post(accept))
}

#[derive(Template)]
#[template(path = "accounts/sign_in.html")]
struct SignInPage {
    shell: Shell,
    error: Option<String>,
    name: String,
    next: String,
}

#[derive(Template)]
#[template(path = "accounts/set_up.html")]
struct SetUpPage {
    shell: Shell,
    error: Option<String>,
    name: String,
    role: Role,
}

#[derive(Debug, Deserialize)]
struct Wanted {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
struct Credentials {
    name: String,
    password: String,
    #[serde(default)]
    next: String,
}

async fn form(shell: Shell, Query(wanted): Query<Wanted>) -> Result<Response, Problem> {
    let next = local_path(&wanted.next).to_owned();
    if !matches!(shell.visitor, Visitor::Nobody) {
        return Ok(Redirect::to(&next).into_response());
    }
    sign_in_page(StatusCode::OK, shell, None, String::new(), next)
}

fn sign_in_page(
    status: StatusCode,
    shell: Shell,
    error: Option<String>,
    name: String,
    next: String,
) -> Result<Response, Problem> {
    let shell = shell.titled("Sign in", "");
    let page = SignInPage {
        shell,
        error,
        name,
        next,
    };
    Ok((status, Html(page.render().map_err(Problem::internal)?)).into_response())
}

async fn sign_in(
    extract::State(state): extract::State<State>,
    shell: Shell,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Form(credentials): Form<Credentials>,
) -> Result<Response, Problem> {
    let next = local_path(&credentials.next).to_owned();
    let accounts = &state.accounts;
    match accounts
        .check(&credentials.name, credentials.password, peer.ip())
        .await
    {
        Ok(user) => {
            let cookie = accounts.open(&user, peer.ip()).await?;
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to(&next)).into_response())
        }
        Err(problem) if problem.is_about_visitor() => {
            let detail = problem.detail().to_owned();
            sign_in_page(problem.status(), shell, Some(detail), credentials.name, next)
        }
        Err(problem) => Err(problem),
    }
}

impl Accounts {
    /// The user of a name and a password.
    pub(super) async fn check(&self, name: &str, password: String, address: IpAddr) -> Result<User, Problem> {
        if let Some(wait) = self.backoff.wait(name, address, Instant::now()) {
            let seconds = u32::try_from(wait.as_secs())
                .unwrap_or(u32::MAX)
                .saturating_add(1);
            let detail = format!("Too many mistakes. Try again in {seconds} s.");
            return Err(Problem::too_many(detail, seconds));
        }
        let user = if name.len() <= NAME_BYTES_MAX {
            self.store.user(name).await?
        } else {
            None
        };
        let hash = user.as_ref().map(|user| user.password_hash.clone());
        if self.passwords.is(password, hash).await?
            && let Some(user) = user
        {
            self.backoff.succeeded(name, address);
            return Ok(user);
        }
        self.backoff.failed(name, address, Instant::now());
        tracing::warn!(%address, "sign-in failed");
        Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_password", WRONG))
    }

    /// Begins a session; the cookie for it.
    pub(super) async fn open(&self, user: &User, address: IpAddr) -> Result<String, Problem> {
        let secret = Secret::random();
        let now = Timestamp::now();
        let age = i64::try_from(self.session_age.as_micros()).unwrap_or(i64::MAX);
        self.store
            .open_session(&Session {
                hash: secret.hash(),
                user: user.name.clone(),
                since: now,
                last_seen: now,
                expires: Timestamp::from_micros(now.as_micros().saturating_add(age)),
                address: address.to_string(),
            })
            .await?;
        Ok(self.cookie(Some(&secret)))
    }
}

async fn sign_out(extract::State(state): extract::State<State>, shell: Shell) -> impl IntoResponse {
    if let Visitor::User { session, .. } = shell.visitor {
        state.accounts.end_session(session).await;
    }
    (
        [(header::SET_COOKIE, state.accounts.cookie(None))],
        Redirect::to("/sign-in"),
    )
}

/// Why a link leads nowhere.
fn not_invited() -> Problem {
    Problem::not_found(
        "This link is used up or too old. An administrator can make a new one under Users; where there is no account yet, Logferry prints one when it starts.",
    )
}

fn set_up_page(
    status: StatusCode,
    shell: Shell,
    error: Option<String>,
    name: String,
    role: Role,
) -> Result<Response, Problem> {
    let shell = shell.titled("New account", "");
    let page = SetUpPage {
        shell,
        error,
        name,
        role,
    };
    Ok((status, Html(page.render().map_err(Problem::internal)?)).into_response())
}

async fn invited(
    extract::State(state): extract::State<State>,
    shell: Shell,
    Path(secret): Path<String>,
) -> Result<Response, Problem> {
    let hash = Secret::hash_of(&secret).ok_or_else(not_invited)?;
    let role = state.accounts.store.invitation(hash, Timestamp::now()).await?;
    let role = Role::of(&role.ok_or_else(not_invited)?);
    set_up_page(StatusCode::OK, shell, None, String::new(), role)
}

#[derive(Deserialize)]
struct NewUser {
    name: String,
    password: String,
}

async fn accept(
    extract::State(state): extract::State<State>,
    shell: Shell,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(secret): Path<String>,
    Form(new): Form<NewUser>,
) -> Result<Response, Problem> {
    let accounts = &state.accounts;
    let hash = Secret::hash_of(&secret).ok_or_else(not_invited)?;
    let role = accounts.store.invitation(hash, Timestamp::now()).await?;
    let role = Role::of(&role.ok_or_else(not_invited)?);
    let name = new.name.trim().to_owned();
    let refuse = |shell, name, why: &str| {
        let error = Some(why.to_owned());
        set_up_page(StatusCode::UNPROCESSABLE_ENTITY, shell, error, name, role)
    };
    if !is_name(&name) {
        let why = "A name has up to 64 letters, digits and . _ @ -";
        return refuse(shell, name, why);
    }
    let password_hash = match accounts.passwords.hash(new.password).await {
        Ok(hash) => hash,
        Err(problem) if problem.is_about_visitor() => return refuse(shell, name, problem.detail()),
        Err(problem) => return Err(problem),
    };
    match accounts
        .store
        .accept(hash, &name, &password_hash, Timestamp::now())
        .await?
    {
        Accepted::Made(user) => {
            accounts.first.made();
            accounts.forget_all();
            tracing::info!(user = user.name, role = user.role, "account made");
            let cookie = accounts.open(&user, peer.ip()).await?;
            Ok(([(header::SET_COOKIE, cookie)], Redirect::to("/")).into_response())
        }
        Accepted::NameTaken => refuse(shell, name, "Somebody else has this name."),
        Accepted::NotInvited => Err(not_invited()),
    }
}

fn is_name(name: &str) -> bool {
    let is_fine = |c: char| c.is_alphanumeric() || "._@-".contains(c);
    !name.is_empty() && name.len() <= NAME_BYTES_MAX && name.chars().all(is_fine)
}
