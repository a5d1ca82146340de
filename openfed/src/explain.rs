//! `openfed explain`: what would happen to a message for a domain, and why; and whether the domain
//! can be reached.

use clap::Args;
use hyper::Method;
use serde_json::json;

use crate::api::model::{Explanation, Trial};
use crate::api::segment;
use crate::cli::{Failure, Session};
use crate::table;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The foreign domain
    domain: String,
    /// Also look whether it can be reached now: DNS, connection, TLS and what the other side says
    /// first, each with its time. Sends no message; needs an administrator
    #[arg(long = "try")]
    attempt: bool,
}

impl Arguments {
    pub(crate) async fn run(self, session: &mut Session<'_>) -> Result<(), Failure> {
        let path = format!("/api/v1/explain/{}", segment(&self.domain));
        if self.attempt {
            return attempt(&format!("{path}/trial"), session).await;
        }
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

async fn attempt(path: &str, session: &mut Session<'_>) -> Result<(), Failure> {
    let answer = session.api.send(Method::POST, path, &json!({})).await?;
    if session.raw(&answer)? {
        return Ok(());
    }
    let trial: Trial = session.api.read(&answer)?;
    for way in trial.ways {
        let by = way.node.map(|node| format!(" from {node}")).unwrap_or_default();
        let route = way.route.map(|route| format!(" by the route {route}")).unwrap_or_default();
        writeln!(session.out, "{} over {}{route}{by}", trial.domain, way.protocol.to_uppercase())?;
        if let Some(problem) = way.problem {
            writeln!(session.out, "{problem}\n")?;
            continue;
        }
        let rows = way.steps.into_iter().map(|step| {
            let took = format!("{}.{} ms", step.took_us / 1_000, step.took_us % 1_000 / 100);
            let good = if step.good { "good" } else { "FAILED" };
            [step.what, good.to_owned(), took, step.finding]
        });
        table::print(session.out, ["STEP", "", "TIME", "FINDING"], rows)?;
        writeln!(session.out)?;
    }
    Ok(())
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
