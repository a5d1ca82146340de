//! Who changed what, when, and why. Bounded, in the memory of this router.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use serde_json::{Value, json};

use super::time::rfc3339;
use crate::now;

/// Changes that are kept.
const KEPT: usize = 1_000;

/// The last changes, newest first.
#[derive(Debug, Default)]
pub(super) struct Audit {
    entries: Mutex<VecDeque<Entry>>,
}

#[derive(Debug)]
struct Entry {
    at_us: u64,
    action: &'static str,
    subject: String,
    note: Option<String>,
}

impl Audit {
    /// Notes a change that the store has taken.
    pub(super) fn add(&self, action: &'static str, subject: String, note: Option<String>) {
        tracing::info!(action, subject, "changed by the operator");
        let entry = Entry { at_us: now().unix_us, action, subject, note };
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.truncate(KEPT - 1);
        entries.push_front(entry);
    }

    /// What was noted when `action` was last done to `subject`.
    pub(super) fn note(&self, action: &str, subject: &str) -> Option<String> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |entry: &&Entry| entry.action == action && entry.subject == subject;
        entries.iter().find(same)?.note.clone()
    }

    pub(super) fn recent(&self, limit: usize) -> Vec<Value> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let describe = |entry: &Entry| {
            json!({
                "at": rfc3339(entry.at_us),
                // Everybody who reaches the API on loopback is the operator.
                "who": "operator",
                "action": entry.action,
                "subject": entry.subject,
                "note": entry.note,
            })
        };
        entries.iter().take(limit).map(describe).collect()
    }
}
