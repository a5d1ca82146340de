//! `openfed audit`: who changed what, when.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use crate::api::model::Page;
use crate::cli::{Failure, Session};
use crate::table;

#[derive(Debug, Args)]
#[command(after_help = "\
A change shows the fields that it changed, before and after. --json shows all of them.")]
pub(crate) struct Arguments {
    /// At most so many, the newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    limit: u32,
}

/// A change, as the API shows it.
#[derive(Debug, Deserialize)]
struct Entry {
    at: String,
    who: String,
    action: String,
    subject: String,
    before: Option<Value>,
    after: Option<Value>,
}

impl Arguments {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let answer = session.api.get(&format!("/api/v1/audit?limit={}", self.limit)).await?;
        if session.raw(&answer)? {
            return Ok(());
        }
        let page: Page<Entry> = session.api.read(&answer)?;
        let rows = page.items.into_iter().map(|entry| {
            let changed = changed(entry.before.as_ref(), entry.after.as_ref());
            [entry.at, entry.who, entry.action, entry.subject, changed]
        });
        Ok(table::print(session.out, ["WHEN", "WHO", "WHAT", "OF", "CHANGED"], rows)?)
    }
}

/// The fields that are not as they were.
fn changed(before: Option<&Value>, after: Option<&Value>) -> String {
    let fields = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
    let (Some(before), Some(after)) = (fields(before), fields(after)) else {
        return "-".to_owned();
    };
    let changes: Vec<String> = after
        .iter()
        .filter(|(name, value)| *name != "version" && before.get(*name) != Some(value))
        .map(|(name, value)| {
            let old = before.get(name).unwrap_or(&Value::Null);
            format!("{name}: {} → {}", plain(old), plain(value))
        })
        .collect();
    if changes.is_empty() { "-".to_owned() } else { changes.join(", ") }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_changed_is_shown() {
        let (old, new) = (
            json!({ "port": 5060, "description": "", "blocked": true, "version": 1 }),
            json!({ "port": 5060, "description": "sbc", "blocked": false, "version": 2 }),
        );
        let shown = changed(Some(&old), Some(&new));
        assert_eq!(shown, "blocked: true → false, description: \"\" → sbc");
        assert_eq!(changed(None, Some(&new)), "-");
    }
}
