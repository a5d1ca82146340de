//! Entity tags and preconditions (RFC 9110 §8.8.3, §13): whoever changes what somebody else has
//! changed meanwhile is told, instead of undoing it.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::Value;

use super::problem::Problem;
use crate::access::digest;

/// What a request expects of what it changes.
#[derive(Clone, Debug, Default)]
pub(super) struct Precondition {
    matches: Option<String>,
    none_matches: Option<String>,
}

impl<S: Send + Sync> FromRequestParts<S> for Precondition {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // What cannot be read matches nothing.
        let text = |name: HeaderName| {
            let value = parts.headers.get(name)?;
            Some(value.to_str().unwrap_or_default().to_owned())
        };
        let (matches, none_matches) = (text(header::IF_MATCH), text(header::IF_NONE_MATCH));
        Ok(Self { matches, none_matches })
    }
}

impl Precondition {
    /// `current` is the tag of what is there; none if nothing is.
    ///
    /// # Errors
    /// 412 if it is not what was expected.
    pub(super) fn check(&self, current: Option<&str>) -> Result<(), Problem> {
        let named = |list: &str| {
            list.split(',').map(str::trim).any(|tag| tag == "*" || Some(tag) == current)
        };
        let expected = self.matches.as_deref().is_none_or(|list| current.is_some() && named(list));
        let unexpected = self.none_matches.as_deref();
        let unexpected = unexpected.is_some_and(|list| current.is_some() && named(list));
        if expected && !unexpected {
            return Ok(());
        }
        let problem = Problem::new(StatusCode::PRECONDITION_FAILED, CHANGED);
        Err(match current {
            Some(tag) => problem.detail(format!("It is at the entity tag {tag} now: look again.")),
            None => problem.detail("It is not there."),
        })
    }

    /// Whether the request names a tag at all.
    pub(super) fn is_given(&self) -> bool {
        self.matches.is_some()
    }

    /// Whether the reader has it already.
    pub(super) fn is_known(&self, current: &str) -> bool {
        let list = self.none_matches.as_deref().unwrap_or_default();
        list.split(',').map(str::trim).any(|tag| tag == "*" || tag == current)
    }
}

/// The title of 412.
pub(super) const CHANGED: &str = "Somebody else changed it in the meantime";

/// 428: a whole is not replaced without saying which one.
pub(super) fn required() -> Problem {
    let title = "A replacement must say what it replaces";
    let detail = "Send If-Match with the entity tag that was shown, or *; or the version that was \
                  shown, in the body.";
    Problem::new(StatusCode::PRECONDITION_REQUIRED, title).detail(detail)
}

/// The tag of what has a version.
pub(super) fn tag_of_version(version: u64) -> String {
    format!("\"{version}\"")
}

/// The tag of what has none.
pub(super) fn tag_of(content: &Value) -> String {
    format!("\"{}\"", &digest(&content.to_string())[..16])
}

/// The tag as a header of an answer.
pub(super) fn etag(tag: &str) -> [(HeaderName, HeaderValue); 1] {
    // A tag of ours has nothing in it that a header could not hold.
    let value = HeaderValue::from_str(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
    [(header::ETAG, value)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(matches: Option<&str>, none_matches: Option<&str>) -> Precondition {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Precondition { matches: text(matches), none_matches: text(none_matches) }
    }

    #[test]
    fn a_tag_must_be_the_current_one() {
        for (precondition, current, holds) in [
            (given(None, None), Some("\"1\""), true),
            (given(Some("\"1\""), None), Some("\"1\""), true),
            (given(Some("\"2\", \"1\""), None), Some("\"1\""), true),
            (given(Some("*"), None), Some("\"1\""), true),
            (given(Some("*"), None), None, false),
            (given(Some("\"2\""), None), Some("\"1\""), false),
            (given(Some("1"), None), Some("\"1\""), false),
            (given(Some(""), None), Some("\"1\""), false),
            (given(None, Some("*")), Some("\"1\""), false),
            (given(None, Some("*")), None, true),
            (given(None, Some("\"2\"")), Some("\"1\""), true),
        ] {
            assert_eq!(precondition.check(current).is_ok(), holds, "{precondition:?} {current:?}");
        }
    }
}
