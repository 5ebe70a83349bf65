//! What went wrong: `application/problem+json` (RFC 9457) for programs, a page for people. The answer tells what helps;
//! the log gets the cause.

use std::fmt::Display;

use askama::Template;
use axum::{
    body::to_bytes,
    http::{HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};
use serde::Serialize;
use store::StoreError;
use uuid::Uuid;

use crate::shell::Shell;

/// Bytes of a refusal by the framework that are looked at.
const REFUSAL_BYTES_MAX: usize = 4096;

/// An answer that is an error.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    status: StatusCode,
    /// For people: what, and what helps.
    detail: Box<str>,
    /// For programs.
    code: &'static str,
    /// Also in the log, so that both can be found.
    id: Uuid,
    error: Option<Box<query::Problem>>,
    retry_after_s: Option<u32>,
}

impl Serialize for Problem {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Wire<'a> {
            #[serde(rename = "type")]
            kind: &'static str,
            title: &'static str,
            status: u16,
            detail: &'a str,
            code: &'static str,
            id: Uuid,
            #[serde(skip_serializing_if = "Option::is_none")]
            errors: Option<[&'a query::Problem; 1]>,
        }
        let wire = Wire {
            kind: "about:blank",
            title: self.title(),
            status: self.status.as_u16(),
            detail: &self.detail,
            code: self.code,
            id: self.id,
            errors: self.error.as_deref().map(|error| [error]),
        };
        wire.serialize(serializer)
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            detail: detail.into().into_boxed_str(),
            code,
            id: Uuid::new_v4(),
            error: None,
            retry_after_s: None,
        }
    }

    pub(crate) fn no_page(path: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            format!("There is nothing at {path}."),
        )
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    pub(crate) fn method() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not take this method.",
        )
    }

    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn forbidden(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, detail)
    }

    pub(crate) fn too_many(detail: impl Into<String>, retry_after_s: u32) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_requests", detail)
        }
    }

    /// A bug of ours, or of something that we rely on.
    pub(crate) fn internal(error: impl Display) -> Self {
        let problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "This is a mistake of Logferry. Its log tells more, by the number below.",
        );
        tracing::error!(%error, id = %problem.id, "request failed");
        problem
    }

    /// The query cannot be read.
    pub(crate) fn query(problem: query::Problem) -> Self {
        let message = problem.message.clone();
        Self {
            error: Some(Box::new(problem)),
            ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "query", message)
        }
    }

    pub(crate) fn title(&self) -> &'static str {
        self.status.canonical_reason().unwrap_or("Error")
    }

    pub(crate) const fn status(&self) -> StatusCode {
        self.status
    }

    /// Whether the visitor can do something about it.
    pub(crate) fn is_about_visitor(&self) -> bool {
        self.status.is_client_error()
    }

    /// What is wrong with the query, where that is what is wrong.
    pub(crate) fn query_error(&self) -> Option<&query::Problem> {
        self.error.as_deref()
    }

    /// For programs.
    pub(crate) const fn code(&self) -> &'static str {
        self.code
    }

    /// As it stands in the log.
    pub(crate) const fn id(&self) -> Uuid {
        self.id
    }

    /// For people.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (code, detail) = match &error {
            StoreError::Unavailable(_) | StoreError::Conflict(_) => (
                "store_unavailable",
                "The store does not answer. What is sent to Logferry is kept meanwhile; search works again when the store is back.".to_owned(),
            ),
            StoreError::TimedOut(budget) => (
                "store_too_slow",
                format!("The store took longer than {budget:?}. A narrower range of time helps."),
            ),
            StoreError::Refused(_) | StoreError::Schema { .. } | StoreError::NotOurs(_) => (
                "store_refuses",
                "The store cannot be used as it is; the log of Logferry says why.".to_owned(),
            ),
            StoreError::Closed => ("closing", "Logferry is stopping.".to_owned()),
            StoreError::Unexpected(_) => return Self::internal(Chain(&error)),
        };
        let problem = Self {
            retry_after_s: Some(5),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
        };
        tracing::warn!(error = %Chain(&error), id = %problem.id, "store failed a request");
        problem
    }
}

/// An error with its causes.
struct Chain<'a>(&'a dyn std::error::Error);

impl Display for Chain<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_string(&self).expect("a problem has only texts and numbers");
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

#[derive(Template)]
#[template(path = "problem.html")]
struct Page<'a> {
    shell: &'a Shell,
    problem: &'a Problem,
}

/// Gives every error its form: a page for people (`shell`), JSON otherwise.
pub(crate) async fn present(response: Response, shell: Option<&Shell>) -> Response {
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let known = response.extensions().get::<Problem>().cloned();
    let is_page = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    match (known, shell) {
        (None, _) if is_page => response,
        (Some(problem), Some(shell)) => as_page(&problem, shell, response),
        (Some(_), None) => response,
        // The framework refused it: a query string, a body, a header.
        (None, shell) => {
            let bytes = to_bytes(response.into_body(), REFUSAL_BYTES_MAX)
                .await
                .unwrap_or_default();
            let detail = String::from_utf8_lossy(&bytes).into_owned();
            let problem = Problem::new(status, "refused", detail);
            let response = problem.clone().into_response();
            match shell {
                Some(shell) => as_page(&problem, shell, response),
                None => response,
            }
        }
    }
}

fn as_page(problem: &Problem, shell: &Shell, response: Response) -> Response {
    let shell = &shell.clone().titled(problem.title(), "");
    match (Page { shell, problem }).render() {
        Ok(page) => {
            let mut answer = (problem.status, Html(page)).into_response();
            if let Some(retry) = response.headers().get(header::RETRY_AFTER) {
                answer.headers_mut().insert(header::RETRY_AFTER, retry.clone());
            }
            answer
        }
        Err(error) => {
            tracing::error!(%error, "cannot draw the page of an error");
            response
        }
    }
}
