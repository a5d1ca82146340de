//! Everything that goes wrong, as a problem document (RFC 9457).

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use openfed_node::store::StoreError;
use serde_json::{Value, json};

const MEDIA_TYPE: &str = "application/problem+json";

/// Why a request was not done.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    title: &'static str,
    detail: Option<String>,
    errors: Vec<FieldError>,
}

/// What is wrong with one field of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldError {
    pub(super) field: Cow<'static, str>,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(status: StatusCode, title: &'static str) -> Self {
        Problem { status, title, detail: None, errors: Vec::new() }
    }

    pub(super) fn detail(self, detail: impl Into<String>) -> Self {
        Problem { detail: Some(detail.into()), ..self }
    }

    /// The request was understood, but these fields cannot stand.
    pub(super) fn fields(errors: Vec<FieldError>) -> Self {
        let title = "Some fields need to be corrected";
        Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title) }
    }

    /// The body was understood, but these lines of it cannot stand.
    pub(super) fn lines(errors: Vec<FieldError>) -> Self {
        let title = "Some lines need to be corrected";
        Problem { errors, ..Problem::new(StatusCode::UNPROCESSABLE_ENTITY, title) }
    }

    /// Says one more thing about it.
    pub(super) fn also(mut self, more: &str) -> Self {
        self.detail = Some(self.detail.map_or(more.to_owned(), |said| format!("{said}. {more}")));
        self
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
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
        (self.status, headers, self.body().to_string()).into_response()
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let (status, title) = match &error {
            StoreError::Unavailable(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "The store does not answer")
            }
            StoreError::Conflict(_) => {
                (StatusCode::CONFLICT, "Somebody else changed it in the meantime")
            }
            StoreError::NoSuchRoute(_) => (StatusCode::NOT_FOUND, "There is no such route"),
            StoreError::OpenRoute => (StatusCode::CONFLICT, "The open route is always there"),
            StoreError::NewerLayout { .. } | StoreError::Locked(_) | StoreError::Damaged(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "The store cannot be used")
            }
        };
        Problem::new(status, title).detail(error.to_string())
    }
}

/// Refusals that axum itself makes are plain text; here all are problems.
pub(super) async fn instead_of_plain_text(response: Response) -> Response {
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
