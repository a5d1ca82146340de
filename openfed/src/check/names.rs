//! How each home server prepares addresses, as its xmpp-cm has found out.

use hyper::Method;
use openfed_node::settings::Settings;
use serde_json::json;

use super::Report;
use crate::api::model::Trial;
use crate::api::{Api, segment};
use crate::cli::Failure;

/// Silent where nobody can be asked: that is told elsewhere.
pub(super) async fn check(
    report: &mut Report<'_>,
    api: &Api,
    settings: &Settings,
) -> Result<(), Failure> {
    for home in &settings.xmpp.home {
        let path = format!("/api/v1/explain/{}/trial", segment(home.domain.as_str()));
        let Ok(answer) = api.send(Method::POST, &path, &json!({})).await else { continue };
        let Ok(trial) = api.read::<Trial>(&answer) else { continue };
        let mut steps = trial.ways.into_iter().flat_map(|way| way.steps);
        let Some(found) = steps.find(|step| step.what.starts_with("Names at")) else { continue };
        report.good("home server", &format!("{}: {}", home.domain, found.finding))?;
    }
    Ok(())
}
