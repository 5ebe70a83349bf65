//! What stands before every page: who asks, whether they may, and whether it was their own wish.

use axum::{
    body::{Body, to_bytes},
    extract::{self, Request},
    http::{HeaderMap, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};

use crate::{
    accounts::{Needed, Scope, Visitor, needed},
    pipeline::Health,
    problem::{self, Problem},
    shell::Shell,
    state::State,
};

const CSRF_HEADER: &str = "x-lf-csrf";
const CSRF_FIELD: &str = "csrf";
/// Forms are small.
const FORM_BYTES_MAX: usize = 1 << 20;

pub(crate) async fn guard(
    extract::State(state): extract::State<State>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    let is_asset = path.starts_with("/assets/");
    let is_page = !path.starts_with("/api/");
    let here = request
        .uri()
        .path_and_query()
        .map_or_else(|| "/".to_owned(), ToString::to_string);
    let found = if is_asset {
        Ok(Visitor::Nobody)
    } else {
        state.accounts.visitor(request.headers()).await
    };
    let (visitor, refusal) = match found {
        Ok(visitor) => (visitor, None),
        Err(problem) => (Visitor::Nobody, Some(problem)),
    };
    let csrf = state.accounts.csrf(&visitor);
    let mut shell = Shell::new(visitor, csrf, here, request.headers());
    if is_page && !is_asset && shell.visitor.may(Needed::Scope(Scope::PipelineRead)) {
        shell.health = Some(Health::of(&state).await);
    }
    let admitted = match refusal {
        Some(problem) => Err(problem),
        None => admit(&state, &shell, request).await,
    };
    let response = match admitted {
        Ok(mut request) => {
            request.extensions_mut().insert(shell.clone());
            next.run(request).await
        }
        Err(problem) if is_page && problem.status() == StatusCode::UNAUTHORIZED => sign_in(&shell.here),
        Err(problem) => problem.into_response(),
    };
    problem::present(response, is_page.then_some(&shell)).await
}

/// To the form, and back afterwards.
fn sign_in(here: &str) -> Response {
    let next = form_urlencoded::Serializer::new(String::new())
        .append_pair("next", here)
        .finish();
    Redirect::to(&format!("/sign-in?{next}")).into_response()
}

/// The request, if its sender may send it.
async fn admit(state: &State, shell: &Shell, request: Request) -> Result<Request, Problem> {
    let visitor = &shell.visitor;
    let needed = needed(request.method(), request.uri().path());
    if !visitor.may(needed) {
        return Err(match visitor {
            Visitor::Nobody => Problem::new(
                StatusCode::UNAUTHORIZED,
                "sign_in",
                "Sign in, or send a token: Authorization: Bearer lf_…",
            ),
            Visitor::NobodyYet => Problem::forbidden(
                "no_account",
                "These pages have no account yet and are closed. Make the first one by the link that Logferry printed when it started; starting it again prints a new one.",
            ),
            Visitor::Anyone | Visitor::User { .. } | Visitor::Token { .. } => Problem::forbidden(
                "not_allowed",
                "You may not do this. An administrator can give you another role.",
            ),
        });
    }
    let is_safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if is_safe || visitor.is_token() {
        return Ok(request);
    }
    expect_same_origin(request.headers(), state.settings.public_url.as_deref())?;
    // Before there is a session the origin is all that there is.
    if needed == Needed::Nothing {
        return Ok(request);
    }
    expect_csrf(shell, request).await
}

fn forged() -> Problem {
    Problem::forbidden(
        "csrf",
        "This does not come from our pages, or the page is too old. Load it again and repeat.",
    )
}

/// Browsers say where a request comes from.
fn expect_same_origin(headers: &HeaderMap, public_url: Option<&str>) -> Result<(), Problem> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return if matches!(site, "same-origin" | "none") {
            Ok(())
        } else {
            Err(forged())
        };
    }
    match (text(header::ORIGIN.as_str()), text(header::HOST.as_str())) {
        (None, _) => Ok(()),
        (Some(origin), _) if Some(origin) == public_url => Ok(()),
        (Some(origin), Some(host)) if origin.split_once("://").is_some_and(|(_, of)| of == host) => Ok(()),
        (Some(_), _) => Err(forged()),
    }
}

/// The page that sent it was one of ours: it knows what only our pages are told, in the header or in the form.
async fn expect_csrf(shell: &Shell, request: Request) -> Result<Request, Problem> {
    if let Some(token) = request.headers().get(CSRF_HEADER) {
        return if token.as_bytes() == shell.csrf.as_bytes() {
            Ok(request)
        } else {
            Err(forged())
        };
    }
    let is_form = request
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if !is_form {
        return Err(forged());
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, FORM_BYTES_MAX).await.map_err(|_too_large| {
        Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "The form is larger than 1 MiB.",
        )
    })?;
    let is_ours =
        form_urlencoded::parse(&bytes).any(|(name, value)| name == CSRF_FIELD && value == shell.csrf);
    if is_ours {
        Ok(Request::from_parts(parts, Body::from(bytes)))
    } else {
        Err(forged())
    }
}
