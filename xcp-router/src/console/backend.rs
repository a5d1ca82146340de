//! The API as the console uses it: its own handlers, called in process, on behalf of a visitor.

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use super::frame::Refusal;
use super::visitor::Visitor;

/// More than the longest page of any list.
const ANSWER: usize = 4 * 1024 * 1024;

/// What need not be escaped in one part of a path or query (RFC 3986 §2.3).
const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'*');

/// A text as one part of a path or a query.
pub(super) fn escaped(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

#[derive(Clone, Debug)]
pub(super) struct Backend {
    api: Router,
}

/// The problem document of RFC 9457, as the API writes it.
#[derive(Debug, Deserialize)]
struct Problem {
    title: String,
    detail: Option<String>,
    #[serde(default)]
    errors: Vec<FieldError>,
}

#[derive(Debug, Deserialize)]
struct FieldError {
    field: String,
    message: String,
}

impl Backend {
    pub(super) fn new(api: Router) -> Self {
        Backend { api }
    }

    /// Reads what is below `/api/v1`.
    ///
    /// # Errors
    /// What the API answered instead.
    pub(super) async fn get<T: DeserializeOwned>(
        &self,
        visitor: &Visitor,
        path: &str,
    ) -> Result<T, Refusal> {
        read(self.send(visitor, Method::GET, path, None).await?)
    }

    /// Asks the API for a change; the answer's object, or `null` if it has none.
    ///
    /// # Errors
    /// What the API answered instead.
    pub(super) async fn send(
        &self,
        visitor: &Visitor,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, Refusal> {
        self.call(visitor, method, path, body).await.map(|(_, value)| value)
    }

    /// The same, with the head of the answer.
    ///
    /// # Errors
    /// What the API answered instead.
    pub(super) async fn call(
        &self,
        visitor: &Visitor,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<(HeaderMap, Value), Refusal> {
        let mut request = Request::builder().method(method).uri(format!("/api/v1{path}"));
        if let Some(extensions) = request.extensions_mut() {
            *extensions = visitor.passport.clone();
        }
        let request = match body {
            Some(body) => {
                let json = request.header(header::CONTENT_TYPE, "application/json");
                json.body(Body::from(body.to_string()))
            }
            None => request.body(Body::empty()),
        };
        let request = request.map_err(|error| unreadable(&error.to_string()))?;
        let answer = match self.api.clone().oneshot(request).await {
            Ok(answer) => answer,
            Err(never) => match never {},
        };
        let status = answer.status();
        let (head, body) = answer.into_parts();
        let bytes = to_bytes(body, ANSWER).await;
        let bytes = bytes.map_err(|error| unreadable(&error.to_string()))?;
        if status.is_success() {
            let read =
                if bytes.is_empty() { Ok(Value::Null) } else { serde_json::from_slice(&bytes) };
            let value = read.map_err(|error| unreadable(&error.to_string()))?;
            return Ok((head.headers, value));
        }
        let problem: Problem =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(&error.to_string()))?;
        let errors: BTreeMap<_, _> =
            problem.errors.into_iter().map(|error| (error.field, error.message)).collect();
        Err(Refusal { status, title: problem.title, detail: problem.detail, errors })
    }
}

/// An answer of the API.
///
/// # Errors
/// It is not what was asked for.
pub(super) fn read<T: DeserializeOwned>(value: Value) -> Result<T, Refusal> {
    serde_json::from_value(value).map_err(|error| unreadable(&error.to_string()))
}

/// The console and the API of one program do not understand each other: a defect.
fn unreadable(error: &str) -> Refusal {
    tracing::error!(error, "the console cannot read an answer of the API");
    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "The answer cannot be shown")
}
