//! `openfed nodes`: the router and the processes linked to it, and taking one of them out.

use clap::{Args, Subcommand};
use hyper::Method;
use serde_json::json;

use crate::api::model::{Node, Page};
use crate::api::segment;
use crate::cli::{Failure, Session};
use crate::table::{self, or_dash};

const NODES: &str = "/api/v1/nodes";

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Take a node out: nothing new goes to it, it finishes what it has, and keeps running
    ///
    /// sip-cm answers new requests with 503, so that senders take the next instance; xmpp-cm closes
    /// its port and its streams; a router sends the connection managers to the other routers. A node
    /// that is restarted serves. Another router than the one that is asked is drained at its own API
    /// (--api).
    Drain { node: String },
    /// Take a node back in
    #[command(alias = "undrain")]
    Resume { node: String },
}

impl Arguments {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        match self.command {
            None => list(session).await,
            Some(Command::Drain { node }) => {
                let effect = format!("{node} drains: nothing new goes to it.");
                change(session, &node, true, &effect).await
            }
            Some(Command::Resume { node }) => {
                change(session, &node, false, &format!("{node} serves.")).await
            }
        }
    }
}

async fn change(
    session: &mut Session<'_>,
    node: &str,
    draining: bool,
    effect: &str,
) -> Result<(), Failure> {
    let path = format!("{NODES}/{}", segment(node));
    let body = json!({ "draining": draining });
    let answer = session.api.send(Method::PATCH, &path, &body).await?;
    if session.raw(&answer)? { Ok(()) } else { session.say(effect) }
}

async fn list(session: &mut Session<'_>) -> Result<(), Failure> {
    let answer = session.api.list(NODES).await?;
    if session.raw(&answer)? {
        return Ok(());
    }
    let page: Page<Node> = session.api.read(&answer)?;
    let titles = ["NODE", "ROLE", "VERSION", "ADDRESS", "UP SINCE", "IN FLIGHT", "STATE"];
    let rows = page.items.into_iter().map(|node| {
        [
            node.node,
            node.role,
            or_dash(Some(&node.version)),
            or_dash(Some(&node.address)),
            or_dash(Some(&node.up_since)),
            node.in_flight.to_string(),
            if node.draining { "draining" } else { "serving" }.to_owned(),
        ]
    });
    Ok(table::print(session.out, titles, rows)?)
}
