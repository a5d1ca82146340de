//! Problem documents (RFC 9457) in plain words.

use std::fmt;

use hyper::StatusCode;
use serde::Deserialize;

/// Why the API said no.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Problem {
    /// The HTTP status.
    pub status: u16,
    /// What kind of problem, in one line.
    pub title: String,
    /// What exactly, this time.
    pub detail: Option<String>,
    /// What is wrong with which field of the request.
    pub errors: Vec<FieldFault>,
}

/// What is wrong with one field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct FieldFault {
    /// The field's name, or a JSON pointer to it.
    #[serde(alias = "pointer")]
    pub field: String,
    /// What is wrong with it.
    #[serde(alias = "message")]
    pub detail: String,
}

impl Problem {
    /// Reads the body of an answer with this status; a body that is no problem document still
    /// gives a sentence.
    pub(super) fn read(status: StatusCode, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status.as_u16();
        if problem.title.is_empty() {
            problem.title = status.canonical_reason().unwrap_or("refused").to_owned();
        }
        problem
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{}: {detail}", self.title)?,
            None => write!(f, "{}", self.title)?,
        }
        for FieldFault { field, detail } in &self.errors {
            let field = field.trim_start_matches(['#', '/']);
            write!(f, "\n  {field}: {detail}")?;
        }
        Ok(())
    }
}
