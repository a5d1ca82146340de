//! The fields of a submitted form, and how they become the API's.

use std::collections::HashMap;

use axum::Form;
use axum::extract::{FromRequest, Request};
use serde_json::Value;

use super::frame::Refusal;

/// What a form holds. A check box that is off is not there at all.
#[derive(Debug, Default)]
pub(super) struct Submitted(HashMap<String, String>);

impl Submitted {
    pub(super) fn text(&self, field: &str) -> &str {
        self.0.get(field).map_or("", |text| text.trim())
    }

    /// As it was typed, with spaces around it.
    pub(super) fn exact(&self, field: &str) -> &str {
        self.0.get(field).map_or("", String::as_str)
    }

    pub(super) fn is_on(&self, field: &str) -> bool {
        self.0.contains_key(field)
    }

    /// A number for the API, which says what is wrong with whatever is none.
    pub(super) fn number(&self, field: &str) -> Value {
        let text = self.text(field);
        text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from)
    }
}

impl<S: Send + Sync> FromRequest<S> for Submitted {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refusal> {
        match Form::<HashMap<String, String>>::from_request(request, state).await {
            Ok(Form(fields)) => Ok(Submitted(fields)),
            Err(rejection) => {
                let title = "The form cannot be read";
                let detail = Some(rejection.body_text());
                Err(Refusal { detail, ..Refusal::new(rejection.status(), title) })
            }
        }
    }
}
