//! Who looks at a page. The one place in which the console learns it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::Extensions;
use axum::http::request::Parts;
use openfed_node::http::Peer;

use crate::access::{Actor, Role, Session};

/// Somebody at the console, whom the gate has let in.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    pub(super) name: String,
    pub(super) may_change: bool,
    /// What every form of theirs must carry; nothing for a program that shows a token.
    pub(super) csrf: String,
    /// Goes along with what the console asks the API on their behalf: who they are, and nothing of
    /// the page's own address.
    pub(super) passport: Extensions,
}

impl Visitor {
    pub(super) fn role(&self) -> &'static str {
        if self.may_change { Role::Administrator.as_str() } else { Role::Viewer.as_str() }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let mut passport = Extensions::new();
        let actor = carry::<Actor>(parts, &mut passport);
        let session = carry::<Session>(parts, &mut passport);
        carry::<Peer>(parts, &mut passport);
        Ok(Visitor {
            name: actor.as_ref().map(|actor| actor.name.clone()).unwrap_or_default(),
            may_change: actor.is_some_and(|actor| actor.role == Role::Administrator),
            csrf: session.map(|session| session.csrf().to_owned()).unwrap_or_default(),
            passport,
        })
    }
}

fn carry<T: Clone + Send + Sync + 'static>(parts: &Parts, to: &mut Extensions) -> Option<T> {
    let found = parts.extensions.get::<T>().cloned()?;
    to.insert(found.clone());
    Some(found)
}
