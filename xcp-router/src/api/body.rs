//! A request's body: one JSON object.

use std::time::Duration;

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::BODY;
use super::problem::Problem;

/// How long a body may take, which is no larger than some thousand bytes.
const PATIENCE: Duration = Duration::from_secs(10);

/// The object in the body. It must say `application/json`: a web page of
/// somebody else cannot send that without asking first.
pub(super) struct Object(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if announced(&request).is_some_and(|length| length > BODY) {
            // It would be waited for, only to be refused.
            let title = "The body is larger than 64 KiB";
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, title));
        }
        let read = Json::<Map<String, Value>>::from_request(request, state);
        match timeout(PATIENCE, read).await {
            Ok(Ok(Json(object))) => Ok(Object(object)),
            Ok(Err(rejection)) => Err(refused(&rejection)),
            Err(_) => {
                let title = "The body did not come within 10 s";
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, title))
            }
        }
    }
}

fn announced(request: &Request) -> Option<usize> {
    let length = request.headers().get(header::CONTENT_LENGTH)?.to_str().ok()?;
    // What does not fit is no small number.
    Some(length.parse().unwrap_or(usize::MAX))
}

fn refused(rejection: &JsonRejection) -> Problem {
    Problem::new(rejection.status(), "The body is not the JSON object that is needed")
        .detail(rejection.body_text())
}
