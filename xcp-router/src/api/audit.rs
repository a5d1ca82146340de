//! Who changed what, when, and what it was before and after. In the store, for all routers, bounded.

use std::sync::Arc;

use openfed_node::store::{Store, StoreError};
use openfed_proto::domain::Domain;
use serde_json::{Map, Value, json};

use super::time::rfc3339;
use crate::now;

/// Fields that nobody reads again, whatever they are in.
const SECRET: [&str; 4] = ["password", "secret", "hash", "digest"];

/// The changes that operators made, and those that nobody made.
#[derive(Debug)]
pub(crate) struct Audit {
    store: Arc<dyn Store>,
}

impl Audit {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// Notes a change that the store has taken. A change that cannot be noted stays a change, and
    /// is in the log alone.
    pub(crate) async fn add(
        &self,
        actor: &str,
        action: &'static str,
        subject: impl Into<String>,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        let subject = subject.into();
        tracing::info!(actor, action, subject, "changed by an operator");
        self.note(actor, action, subject, before, after).await;
    }

    /// Notes that the store went back from one version to another, as `node` found first.
    pub(crate) async fn went_back(&self, node: &str, from: u64, to: u64) {
        let version = |version: u64| Some(json!({ "store_version": version }));
        let subject = "all".to_owned();
        self.note(node, "store went back in time", subject, version(from), version(to)).await;
    }

    /// Notes that a row without a proof is removed, since XMPP answered when `node` asked it again.
    pub(crate) async fn xmpp_answered(&self, node: &str, domain: &Domain, row: Value) {
        tracing::info!(%domain, "it speaks XMPP: its row, which had no proof, is removed");
        let action = "XMPP answered, SIP domain removed";
        self.note(node, action, domain.to_string(), Some(row), None).await;
    }

    async fn note(
        &self,
        actor: &str,
        action: &'static str,
        subject: String,
        before: Option<Value>,
        after: Option<Value>,
    ) {
        let entry = json!({
            "at": rfc3339(now().unix_us),
            "who": actor,
            "action": action,
            "subject": subject,
            "before": before.map(redacted),
            "after": after.map(redacted),
        });
        if let Err(error) = self.store.add_audit(&entry.to_string()).await {
            tracing::warn!(%error, actor, action, "the audit misses a change");
        }
    }

    /// Entries before number `before`, newest first, and the number to go on before.
    pub(crate) async fn page(
        &self,
        before: Option<u64>,
        limit: usize,
    ) -> Result<(Vec<Value>, Option<u64>), StoreError> {
        let mut found = self.store.audit(before, limit + 1).await?;
        let more = found.len() > limit;
        found.truncate(limit);
        let next = found.last().filter(|_| more).map(|(number, _)| *number);
        let entry = |(number, json): &(u64, String)| {
            let mut entry: Map<String, Value> = serde_json::from_str(json).ok()?;
            entry.insert("number".to_owned(), json!(number));
            Some(Value::Object(entry))
        };
        Ok((found.iter().filter_map(entry).collect(), next))
    }
}

/// Without secrets.
fn redacted(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().map(|(name, value)| {
                let secret = SECRET.contains(&name.as_str()) && !value.is_null();
                let value = if secret { json!("…") } else { redacted(value) };
                (name, value)
            });
            Value::Object(fields.collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(redacted).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_in_the_audit() {
        let change = json!({ "credentials": { "username": "us", "password": "x" }, "hash": null });
        let expected =
            json!({ "credentials": { "username": "us", "password": "…" }, "hash": null });
        assert_eq!(redacted(change), expected);
    }
}
