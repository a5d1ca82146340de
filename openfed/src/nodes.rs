//! `openfed nodes`: the processes linked to the router.

use crate::api::model::{Node, Page};
use crate::cli::{Failure, Session};
use crate::table::{self, or_dash};

pub(crate) async fn run(session: &mut Session<'_>) -> Result<(), Failure> {
    let answer = session.api.get("/api/v1/nodes").await?;
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
