//! Who looks at a page. The one place in which the console learns it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;

/// Somebody at the console.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) name: String,
    pub(super) may_change: bool,
    /// What every form of theirs must carry.
    pub(super) csrf: String,
    /// Goes along with what the console asks the API on their behalf: who they are, and nothing of
    /// the page's own address.
    pub(super) passport: Extensions,
}

impl Visitor {
    pub(super) fn role(&self) -> &'static str {
        if self.may_change { "administrator" } else { "viewer" }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Everybody who reaches the console on loopback is the operator.
        Ok(Visitor {
            name: "operator".to_owned(),
            may_change: true,
            csrf: String::new(),
            passport: Extensions::new(),
        })
    }
}
