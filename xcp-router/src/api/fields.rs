//! Reads the fields of a JSON object one by one, and gathers what is wrong.

use openfed_proto::domain::Domain;
use serde_json::{Map, Value};

use super::problem::{FieldError, Problem};

/// The longest description or note.
const TEXT: usize = 255;

/// Why this is no text for people.
pub(super) fn fault_of_note(text: &str) -> Option<&'static str> {
    if text.chars().count() > TEXT {
        Some("is longer than 255 characters")
    } else if text.chars().any(char::is_control) {
        Some("contains control characters")
    } else {
        None
    }
}

/// The fields that have not been read yet, and the errors so far.
pub(super) struct Fields {
    object: Map<String, Value>,
    known: Vec<&'static str>,
    errors: Vec<FieldError>,
}

impl Fields {
    pub(super) fn new(object: Map<String, Value>) -> Self {
        Fields { object, known: Vec::new(), errors: Vec::new() }
    }

    /// Whether the request names the field, be it as `null`.
    pub(super) fn names(&self, field: &str) -> bool {
        self.object.contains_key(field)
    }

    pub(super) fn error(&mut self, field: &'static str, message: impl Into<String>) {
        self.errors.push(FieldError { field: field.into(), message: message.into() });
    }

    /// The field, if it is there and not `null`.
    pub(super) fn value(&mut self, field: &'static str) -> Option<Value> {
        self.known.push(field);
        self.object.get(field).filter(|value| !value.is_null()).cloned()
    }

    pub(super) fn text(&mut self, field: &'static str) -> Option<String> {
        match self.value(field)? {
            Value::String(text) => Some(text),
            _ => self.wrong(field, "must be a text"),
        }
    }

    /// A text that must be there.
    pub(super) fn needed(&mut self, field: &'static str) -> Option<String> {
        let text = self.text(field);
        if text.is_none() && !self.errors.iter().any(|error| error.field == field) {
            self.error(field, "is missing");
        }
        text
    }

    /// A text for people: at most 255 characters, no control characters.
    pub(super) fn note(&mut self, field: &'static str) -> Option<String> {
        let text = self.text(field)?;
        match fault_of_note(&text) {
            Some(fault) => self.wrong(field, fault),
            None => Some(text),
        }
    }

    pub(super) fn flag(&mut self, field: &'static str) -> Option<bool> {
        match self.value(field)? {
            Value::Bool(flag) => Some(flag),
            _ => self.wrong(field, "must be true or false"),
        }
    }

    pub(super) fn number(&mut self, field: &'static str, least: u16) -> Option<u16> {
        let number = self.value(field)?.as_u64().and_then(|number| u16::try_from(number).ok());
        match number.filter(|number| *number >= least) {
            Some(number) => Some(number),
            None => self.wrong(field, format!("must be a whole number from {least} to 65535")),
        }
    }

    /// The domain that a request must name.
    pub(super) fn domain(&mut self, field: &'static str) -> Option<Domain> {
        let text = self.needed(field)?;
        match Domain::parse(text.trim()) {
            Ok(domain) => Some(domain),
            Err(error) => self.wrong(field, error.to_string()),
        }
    }

    /// Notes an error; there is no value then.
    pub(super) fn wrong<T>(
        &mut self,
        field: &'static str,
        message: impl Into<String>,
    ) -> Option<T> {
        self.error(field, message);
        None
    }

    /// Fields that an answer shows and a request may send back, without effect.
    pub(super) fn ignore(&mut self, fields: &[&'static str]) {
        self.known.extend(fields);
    }

    /// Ends the reading: `value`, if nothing was wrong.
    pub(super) fn finish<T>(mut self, value: T) -> Result<T, Problem> {
        let unknown: Vec<String> = self
            .object
            .keys()
            .filter(|name| !self.known.contains(&name.as_str()))
            .map(|name| format!("\"{name}\""))
            .collect();
        if !unknown.is_empty() {
            self.error("", format!("there is no field {}", unknown.join(", ")));
        }
        if self.errors.is_empty() { Ok(value) } else { Err(Problem::fields(self.errors)) }
    }
}
