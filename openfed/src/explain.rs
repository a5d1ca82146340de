//! `openfed explain`: what would happen to a message for a domain, and why.

use clap::Args;

use crate::api::model::Explanation;
use crate::api::segment;
use crate::cli::{Failure, Session};
use crate::table;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The foreign domain
    domain: String,
}

impl Arguments {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let path = format!("/api/v1/explain/{}", segment(&self.domain));
        let answer = session.api.get(&path).await?;
        if session.raw(&answer)? {
            return Ok(());
        }
        let explanation: Explanation = session.api.read(&answer)?;
        let Explanation { domain, decision, steps } = explanation;
        writeln!(session.out, "{domain}: {decision} ({})\n", meaning(&decision))?;
        let rows = steps
            .into_iter()
            .map(|step| [step.step.to_string(), step.question, step.answer, step.rule]);
        Ok(table::print(session.out, ["", "QUESTION", "ANSWER", "RULE"], rows)?)
    }
}

/// The decisions in words for people who do not know ours.
fn meaning(decision: &str) -> &'static str {
    match decision {
        "local" => "one of your own domains",
        "configured" => "SIP, by a static route or a configured row",
        "cached" => "SIP, known from earlier correspondence",
        "discover" => "unknown: XMPP is tried first; the steps say what follows",
        "fallback" => "SIP over the open route, as XMPP has just failed",
        "blocked" => "denied by you",
        "refused" => "not possible as things are set",
        _ => "see the steps",
    }
}
