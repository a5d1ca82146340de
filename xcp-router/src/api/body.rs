//! A request's body: one JSON object.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use serde_json::{Map, Value};

use super::problem::Problem;

/// The object in the body. It must say `application/json`: a web page of
/// somebody else cannot send that without asking first.
pub(super) struct Object(pub(super) Map<String, Value>);

impl<S: Send + Sync> FromRequest<S> for Object {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match Json::<Map<String, Value>>::from_request(request, state).await {
            Ok(Json(object)) => Ok(Object(object)),
            Err(rejection) => Err(refused(&rejection)),
        }
    }
}

fn refused(rejection: &JsonRejection) -> Problem {
    Problem::new(rejection.status(), "The body is not the JSON object that is needed")
        .detail(rejection.body_text())
}
