//! Everything that goes wrong, as a problem document (RFC 9457).

use std::borrow::Cow;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use openfed_node::store::StoreError;
use serde_json::{Value, json};

use crate::access::LoginError;

const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: Option<String>,
    errors: Vec<FieldError>,
    /// Seconds after which another try may help.
    retry_after: Option<u64>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FieldError {
    pub(crate) field: Cow<'static, str>,
    pub(crate) message: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &'static str) -> Self {
        Problem { status, title, detail: None, errors: Vec::new(), retry_after: None }
    }

    pub(crate) fn detail(self, detail: impl Into<String>) -> Self {
        Problem { detail: Some(detail.into()), ..self }
    }

    /// Another try may help after so long.
    pub(crate) fn retry_after(self, wait: Duration) -> Self {
        Problem { retry_after: Some(wait.as_secs() + 1), ..self }
    }

    /// The request was understood, but these fields cannot stand.
    pub(crate) fn fields(errors: Vec<FieldError>) -> Self {
        let title = "Some fields need to be corrected";
        Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title) }
    }

    /// The body was understood, but these lines of it cannot stand.
    pub(crate) fn lines(errors: Vec<FieldError>) -> Self {
        let title = "Some lines need to be corrected";
        Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title) }
    }

    /// Says one more thing about it.
    pub(crate) fn also(mut self, more: &str) -> Self {
        self.detail = Some(self.detail.map_or(more.to_owned(), |said| format!("{said}. {more}")));
        self
    }

    /// What is wrong, in one line.
    pub(crate) fn in_words(&self) -> String {
        let error = |error: &FieldError| format!("{}: {}", error.field, error.message);
        let errors: Vec<String> = self.errors.iter().map(error).collect();
        if errors.is_empty() { self.title.to_owned() } else { errors.join("; ") }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, "There is no such thing").detail(what)
    }

    fn body(&self) -> Value {
        let mut body = json!({
            "type": "about:blank",
            "title": self.title,
            "status": self.status.as_u16(),
        });
        if let Some(detail) = &self.detail {
            body["detail"] = json!(detail);
        }
        if !self.errors.is_empty() {
            let error =
                |error: &FieldError| json!({ "field": error.field, "message": error.message });
            body["errors"] = self.errors.iter().map(error).collect();
        }
        body
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let headers = [(header::CONTENT_TYPE, MEDIA_TYPE)];
        let mut response = (self.status, headers, self.body().to_string()).into_response();
        if let Some(seconds) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (status, title) = match &error {
            StoreError::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "The store does not answer")
            }
            StoreError::Unwritable(_) => {
                (StatusCode::INSUFFICIENT_STORAGE, "The store takes no changes now")
            }
            StoreError::Conflict(_) => {
                (StatusCode::CONFLICT, "Somebody else changed it in the meantime")
            }
            StoreError::NoSuchRoute(_) => (StatusCode::NOT_FOUND, "There is no such route"),
            StoreError::OpenRoute => (StatusCode::CONFLICT, "The open route is always there"),
            StoreError::NewerLayout { .. }
            | StoreError::Key(_)
            | StoreError::Locked(_)
            | StoreError::Damaged(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The store cannot be used")
            }
        };
        Problem::new(status, title).detail(error.to_string())
    }
}

impl From<LoginError> for Problem {
    fn from(error: LoginError) -> Self {
        match error {
            LoginError::Wrong => {
                Problem::new(StatusCode::UNAUTHORIZED, "Name or password is wrong")
            }
            LoginError::Wait(wait) => {
                let title = "Too many wrong passwords";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, title).retry_after(wait)
            }
            LoginError::Busy => {
                let title = "Too many log-ins at once";
                let busy = Problem::new(StatusCode::SERVICE_UNAVAILABLE, title);
                busy.retry_after(Duration::ZERO)
            }
            LoginError::Store(error) => error.into(),
        }
    }
}

/// Refusals that axum itself makes are plain text; here all are problems.
pub(crate) async fn instead_of_plain_text(response: Response) -> Response {
    let status = response.status();
    let problem = HeaderValue::from_static(MEDIA_TYPE);
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.headers().get(header::CONTENT_TYPE) == Some(&problem) {
        return response;
    }
    let title = status.canonical_reason().unwrap_or("The request was refused");
    let allow = response.headers().get(header::ALLOW).cloned();
    let mut response = Problem::new(status, title).into_response();
    if let Some(methods) = allow {
        response.headers_mut().insert(header::ALLOW, methods);
    }
    response
}
