//! Rows of the domain table as CSV (RFC 4180), one row a line: no field has a line of its own.

use std::borrow::Cow;
use std::fmt::Write;

use openfed_proto::packet::Direction;
use openfed_proto::route::DomainRow;

use crate::api::time::rfc3339_seconds;

/// The columns that an export has, in this order, and that an import may have.
pub(super) const COLUMNS: [&str; 10] = [
    "domain",
    "description",
    "origin",
    "first_seen",
    "last_seen",
    "direction",
    "route",
    "hits",
    "last_failure",
    "finding",
];

/// The header line, from which an import knows where what stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    columns: usize,
    domain: usize,
    description: Option<usize>,
}

impl Header {
    pub(super) fn read(line: &str) -> Result<Self, String> {
        // Spreadsheets begin a file with a byte order mark.
        let names = fields(line.trim_start_matches('\u{feff}'))?;
        let names: Vec<String> = names.iter().map(|name| name.trim().to_lowercase()).collect();
        for (at, name) in names.iter().enumerate() {
            if !COLUMNS.contains(&name.as_str()) {
                let known = COLUMNS.join(", ");
                return Err(format!(
                    "there is no column {name:?}; the header names some of {known}"
                ));
            }
            if names.iter().take(at).any(|earlier| earlier == name) {
                return Err(format!("the column {name} is named twice"));
            }
        }
        let of = |wanted: &str| names.iter().position(|name| name == wanted);
        let domain = of("domain").ok_or("the header names no column domain")?;
        Ok(Header { columns: names.len(), domain, description: of("description") })
    }

    /// Domain and description of a line.
    pub(super) fn row<'a>(&self, line: &'a str) -> Result<(Cow<'a, str>, Cow<'a, str>), String> {
        let mut fields = fields(line)?;
        if fields.len() != self.columns {
            return Err(format!("has {} fields, the header {}", fields.len(), self.columns));
        }
        let mut take = |at: usize| fields.get_mut(at).map(std::mem::take).unwrap_or_default();
        Ok((take(self.domain), self.description.map(take).unwrap_or_default()))
    }
}

/// The fields of a line.
fn fields(line: &str) -> Result<Vec<Cow<'_, str>>, String> {
    let (mut fields, mut rest) = (Vec::with_capacity(COLUMNS.len()), line);
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = rest.find(',').unwrap_or(rest.len());
                let (field, after) = rest.split_at(end);
                if field.contains('"') {
                    return Err("has a quotation mark inside a field that is not quoted".to_owned());
                }
                (Cow::Borrowed(field), after)
            }
        };
        fields.push(field);
        rest = match after.strip_prefix(',') {
            Some(next) => next,
            None if after.is_empty() => return Ok(fields),
            None => return Err("goes on behind a closing quotation mark".to_owned()),
        };
    }
}

/// A field behind its opening mark, and what follows its closing one. Two marks are one.
fn unquoted(text: &str) -> Result<(Cow<'_, str>, &str), String> {
    let mut field = Cow::Borrowed("");
    let mut rest = text;
    loop {
        let end = rest.find('"').ok_or("has a quotation mark that is not closed")?;
        let (part, behind) = rest.split_at(end);
        field += part;
        let after = &behind[1..];
        match after.strip_prefix('"') {
            Some(more) => {
                field += "\"";
                rest = more;
            }
            None => return Ok((field, after)),
        }
    }
}

/// The header line of an export.
pub(super) fn header() -> String {
    COLUMNS.join(",") + "\r\n"
}

/// The line of a row.
pub(super) fn write(row: &DomainRow, out: &mut String) {
    let last_seen = if row.last_seen > 0 { rfc3339_seconds(row.last_seen) } else { String::new() };
    let fields = [
        row.domain.as_str(),
        &row.description,
        row.origin.as_str(),
        &rfc3339_seconds(row.first_seen),
        &last_seen,
        row.direction.map(Direction::as_str).unwrap_or_default(),
        row.route.as_deref().unwrap_or_default(),
        &row.hits.to_string(),
        row.last_failure.as_deref().unwrap_or_default(),
        row.ground.map(|ground| ground.finding.as_str()).unwrap_or_default(),
    ];
    for (at, field) in fields.into_iter().enumerate() {
        let comma = if at > 0 { "," } else { "" };
        // Writing to a String cannot fail.
        let _ = if field.contains(['"', ',']) {
            write!(out, "{comma}\"{}\"", field.replace('"', "\"\""))
        } else {
            write!(out, "{comma}{field}")
        };
    }
    out.push_str("\r\n");
}

#[cfg(test)]
mod tests;
