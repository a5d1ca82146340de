//! What the core wants of the store to ask XMPP again, and what came of it.

use std::sync::Arc;

use metrics::counter;
use openfed_node::store::Store;
use openfed_proto::domain::Domain;
use openfed_proto::finding::{Ground, Settled};
use openfed_proto::packet::PacketId;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use xcp_router_core::InsertResult;

use crate::api::{Audit, describe_row};

/// What the store answered to the core.
#[derive(Debug)]
pub(crate) enum Answer {
    /// To an insert.
    Inserted(PacketId, InsertResult),
    /// What is due.
    Due(Vec<(Domain, Ground)>),
    /// Whether the question is ours.
    Claimed(PacketId, bool),
}

/// The store, spoken to beside the engine. What it does not answer is asked of it again later.
#[derive(Debug)]
pub(crate) struct Asking {
    node: String,
    store: Arc<dyn Store>,
    beside: Handle,
    answers: mpsc::Sender<Answer>,
}

impl Asking {
    /// `node` is who removes rows, in the audit.
    pub(crate) fn new(
        node: String,
        (store, beside): (Arc<dyn Store>, Handle),
        answers: mpsc::Sender<Answer>,
    ) -> Self {
        // The first time is news only if there was none before.
        counter!("openfed_router_rows_withdrawn_total").increment(0);
        Self { node, store, beside, answers }
    }

    pub(crate) fn find_due(&self, now: u64, limit: usize) {
        let (store, answers) = (self.store.clone(), self.answers.clone());
        self.beside.spawn(async move {
            match store.questions_due(now, limit).await {
                // The engine is gone only when the process ends.
                Ok(due) => drop(answers.send(Answer::Due(due)).await),
                Err(error) => tracing::debug!(%error, "it is not known whom to ask again"),
            }
        });
    }

    pub(crate) fn claim(&self, id: PacketId, domain: Domain, due: u64, next: u64) {
        let (store, answers) = (self.store.clone(), self.answers.clone());
        self.beside.spawn(async move {
            let claimed = store.claim_question(&domain, due, next).await.unwrap_or_default();
            let _ = answers.send(Answer::Claimed(id, claimed)).await;
        });
    }

    /// A row that goes is an operator's business: log, audit and counter tell.
    pub(crate) fn settle(&self, domain: Domain, settled: Settled) {
        let (store, node) = (self.store.clone(), self.node.clone());
        self.beside.spawn(async move {
            let row = match store.settle_question(&domain, settled).await {
                Ok(Some(row)) => row,
                // Somebody has confirmed or removed it meanwhile.
                Ok(None) => return,
                Err(error) => {
                    return tracing::warn!(%domain, %error, "what XMPP answered is not noted");
                }
            };
            if settled == Settled::Reached {
                counter!("openfed_router_rows_withdrawn_total").increment(1);
                Audit::new(store).xmpp_answered(&node, &domain, describe_row(&row)).await;
            }
        });
    }
}

/// XMPP was asked again.
pub(crate) fn count(settled: Option<Settled>) {
    let outcome = match settled {
        Some(Settled::Reached) => "reached",
        Some(Settled::Absent) => "absent",
        None => "unknown",
    };
    counter!("openfed_router_asked_again_total", "outcome" => outcome).increment(1);
}
