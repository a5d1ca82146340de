//! Recent packets with their ways, for people to look at.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use openfed_proto::packet::Ending;
use serde_json::{Value, json};
use tokio::sync::broadcast;
use xcp_router_core::Finished;

use crate::api::time::rfc3339;

/// Flows that are kept.
const KEPT: usize = 1_000;
/// Flows that a slow reader of the stream may lag behind before it misses some.
const BEHIND: usize = 256;

/// The last flows, and whoever watches them come.
#[derive(Debug)]
pub(crate) struct Flows {
    recent: Mutex<VecDeque<Arc<Value>>>,
    live: broadcast::Sender<Arc<Value>>,
}

impl Default for Flows {
    fn default() -> Self {
        Flows { recent: Mutex::default(), live: broadcast::Sender::new(BEHIND) }
    }
}

impl Flows {
    /// A packet ended.
    pub(crate) fn add(&self, finished: &Finished) {
        let flow = Arc::new(describe(finished));
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.truncate(KEPT - 1);
        recent.push_front(flow.clone());
        // Nobody watching is no error.
        let _ = self.live.send(flow);
    }

    /// The last flows, newest first; after the packet of this id, if one is named. If that one is
    /// forgotten, so are all after it.
    pub(crate) fn recent(&self, after: Option<&str>, limit: usize) -> Vec<Arc<Value>> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let start = match after {
            None => Some(0),
            Some(id) => recent.iter().position(|flow| flow["packet_id"] == id).map(|at| at + 1),
        };
        recent.iter().skip(start.unwrap_or(recent.len())).take(limit).cloned().collect()
    }

    /// Flows as they end, from now on.
    pub(crate) fn watch(&self) -> broadcast::Receiver<Arc<Value>> {
        self.live.subscribe()
    }
}

/// A flow as the API shows it.
fn describe(finished: &Finished) -> Value {
    let outcome = match &finished.outcome.ending {
        Ending::Delivered { .. } => "delivered",
        Ending::Failed(failure) => failure.condition.as_str(),
    };
    let hops: Vec<Value> = finished
        .outcome
        .hops
        .iter()
        .map(|hop| {
            json!({
                "node": hop.node,
                "role": hop.role.as_str(),
                "verdict": hop.verdict,
                "at_us": hop.at_us,
            })
        })
        .collect();
    let traced = finished.trace.trace_id != [0; 16];
    json!({
        "packet_id": finished.outcome.id.to_string(),
        "started": rfc3339(finished.started_us),
        "domain": finished.domain.as_str(),
        "direction": finished.direction.as_str(),
        "decision": finished.decision.as_str(),
        "outcome": outcome,
        "trace_id": traced.then(|| hex(&finished.trace.trace_id)),
        "hops": hops,
    })
}

/// Lower-case hexadecimal, as trace ids are written.
fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
