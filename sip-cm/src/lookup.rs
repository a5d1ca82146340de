//! Look-ups of next hops, beside the loop.

use openfed_proto::route::Transport;
use sip_cm_core::command::{Hop, Token};
use tokio::sync::mpsc::UnboundedSender;

use crate::resolve::{Resolver, Target};

/// What the core asked.
pub(crate) struct Question {
    pub(crate) token: Token,
    pub(crate) host: String,
    pub(crate) port: Option<u16>,
    pub(crate) transport: Option<Transport>,
}

/// The answer; without hops, the name leads nowhere.
pub(crate) type Resolved = (Token, Vec<Hop>);

/// Looks up in a task of its own.
pub(crate) fn look_up(resolver: Resolver, ask: Question, answers: UnboundedSender<Resolved>) {
    tokio::spawn(async move {
        let mut random = |below: u32| rand::random_range(0..below.max(1));
        let found = resolver.resolve(&ask.host, ask.port, ask.transport, &mut random).await;
        let targets = found.unwrap_or_else(|error| {
            tracing::warn!(next_hop = ask.host, %error, "a next hop has no address");
            Vec::new()
        });
        // Nobody waits for it any more if the engine has ended.
        let _ = answers.send((ask.token, targets.into_iter().map(hop).collect()));
    });
}

fn hop(target: Target) -> Hop {
    Hop {
        transport: target.transport,
        address: target.address,
        flow: None,
        name: Some(target.name.into()),
    }
}
