//! What the linked xmpp-cm told last of their streams, for whoever asked them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use openfed_proto::link::StreamView;
use tokio::sync::watch;
use tokio::time::timeout;

/// A node that has not answered by then is left out.
const ANSWER: Duration = Duration::from_millis(500);

/// The streams of one node.
#[derive(Clone, Debug)]
pub(crate) struct OfNode {
    pub(crate) node: String,
    pub(crate) streams: Vec<StreamView>,
    /// Also those that were left out.
    pub(crate) total: u32,
    heard: Instant,
}

/// The last word of each node.
#[derive(Debug)]
pub(crate) struct Streams {
    nodes: Mutex<BTreeMap<String, OfNode>>,
    news: watch::Sender<()>,
}

impl Default for Streams {
    fn default() -> Self {
        Streams { nodes: Mutex::default(), news: watch::Sender::new(()) }
    }
}

impl Streams {
    /// A node has told of its streams.
    pub(crate) fn heard(&self, node: String, streams: Vec<StreamView>, total: u32) {
        let told = OfNode { node: node.clone(), streams, total, heard: Instant::now() };
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).insert(node, told);
        self.news.send_replace(());
    }

    /// What the nodes that were asked at that time have told since. Nodes that are not linked any
    /// more are forgotten.
    pub(crate) async fn told(&self, asked: &[String], since: Instant) -> Vec<OfNode> {
        let mut news = self.news.subscribe();
        let all = async {
            while self.fresh(asked, since).len() < asked.len() && news.changed().await.is_ok() {}
        };
        // Late ones are left out, and so seen to be.
        let _ = timeout(ANSWER, all).await;
        self.fresh(asked, since)
    }

    fn fresh(&self, asked: &[String], since: Instant) -> Vec<OfNode> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.retain(|node, _| asked.contains(node));
        nodes.values().filter(|told| told.heard >= since).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_what_was_told_since_the_question_counts_and_nobody_is_waited_for_long() {
        let (streams, names) = (Streams::default(), ["a".to_owned(), "b".to_owned()]);
        streams.heard("a".into(), Vec::new(), 1);
        streams.heard("gone".into(), Vec::new(), 1);
        let asked = Instant::now() + Duration::from_nanos(1);
        let told = async {
            streams.heard("b".into(), Vec::new(), 2);
        };
        let (found, ()) = tokio::join!(streams.told(&names, asked), told);
        let found: Vec<_> = found.into_iter().map(|own| (own.node, own.total)).collect();
        assert_eq!(found, [("b".to_owned(), 2)]);
        assert_eq!(streams.nodes.lock().unwrap().len(), 2);
    }
}
