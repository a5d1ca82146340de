//! `openfed flows`: recent messages with their ways, once or as they pass.

use std::io::{self, Write};

use clap::Args;

use crate::api::model::{Flow, Page};
use crate::cli::{Failure, Session};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Go on printing messages as they pass, until interrupted
    #[arg(long, short)]
    follow: bool,
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 20, conflicts_with = "follow")]
    limit: u32,
}

impl Arguments {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        if self.follow {
            return follow(session).await;
        }
        let answer = session.api.get(&format!("/api/v1/flows?limit={}", self.limit)).await?;
        if session.raw(&answer)? {
            return Ok(());
        }
        let page: Page<Flow> = session.api.read(&answer)?;
        if page.items.is_empty() {
            return session.say("No message has passed yet.");
        }
        for flow in &page.items {
            print(session.out, flow)?;
        }
        Ok(())
    }
}

async fn follow(session: &mut Session<'_>) -> Result<(), Failure> {
    let mut events = session.api.follow("/api/v1/flows/stream").await?;
    while let Some(event) = events.next().await {
        if session.json {
            writeln!(session.out, "{event}")?;
        } else {
            print(session.out, &session.api.read(&event)?)?;
        }
        session.out.flush()?;
    }
    session.say("The router has ended the stream.")
}

/// One message: a line about it, then a line per hop with the time since the first.
pub(crate) fn print(out: &mut dyn Write, flow: &Flow) -> io::Result<()> {
    let Flow { started, direction, domain, decision, .. } = flow;
    let outcome = flow.outcome.as_deref().unwrap_or("under way");
    writeln!(out, "{started}  {direction}  {domain}  {decision} → {outcome}")?;
    let start = flow.hops.first().map_or(0, |hop| hop.at_us);
    for hop in &flow.hops {
        let after = format!("+{}", milliseconds(hop.at_us.saturating_sub(start)));
        writeln!(out, "  {after:>11}  {:<10}  {}  ({})", hop.role, hop.verdict, hop.node)?;
    }
    let trace = flow.trace_id.as_deref().unwrap_or("-");
    writeln!(out, "  packet {}  trace {trace}", flow.packet_id)
}

/// `1.234 ms`
pub(crate) fn milliseconds(micros: u64) -> String {
    format!("{}.{:03} ms", micros / 1000, micros % 1000)
}
