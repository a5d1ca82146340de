//! The profile `observe`: Prometheus finds every replica, and its rules have what they look at.
//! Grafana is not here: no Debian package has it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use openfed_tests::containers::Stack;
use openfed_tests::{Failure, Result, http};
use serde_json::Value;
use tokio::time::sleep;

/// Twice what it takes to find a new replica, to ask it and to look at the rules.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits until Prometheus has so many replicas of each service, all of them well, and no other.
pub(crate) async fn has(stack: &Stack, replicas: &[(&str, usize)]) -> Result<()> {
    let wanted: BTreeMap<_, _> = replicas.iter().map(|(job, n)| ((*job).to_owned(), *n)).collect();
    let prometheus = stack.addresses("prometheus").await?;
    let prometheus = prometheus.first().ok_or_else(|| Failure::new("no Prometheus"))?;
    let prometheus = SocketAddr::new(*prometheus, 9090);
    let over = Instant::now() + PATIENCE;
    loop {
        let seen = targets(prometheus).await;
        let rules = rules(prometheus).await;
        if matches!((&seen, &rules), (Ok(seen), Ok(())) if *seen == wanted) {
            return Ok(());
        }
        if Instant::now() > over {
            return Err(Failure::new(format!(
                "Prometheus has {seen:?}, not {wanted:?}; {rules:?}"
            )));
        }
        sleep(LOOK_EVERY).await;
    }
}

/// How many targets of each job answer.
async fn targets(prometheus: SocketAddr) -> Result<BTreeMap<String, usize>> {
    let answer = http::request(prometheus, "GET", "/api/v1/targets?state=active", None).await?;
    let mut found = BTreeMap::new();
    for target in list(&answer.json()?, "/data/activeTargets") {
        let part = |name| target.pointer(name).and_then(Value::as_str).unwrap_or_default();
        if part("/health") == "up" {
            *found.entry(part("/labels/job").to_owned()).or_default() += 1;
        }
    }
    Ok(found)
}

/// Whether all rules could be looked at.
async fn rules(prometheus: SocketAddr) -> Result<()> {
    let answer = http::request(prometheus, "GET", "/api/v1/rules", None).await?;
    let answer = answer.json()?;
    let rules: Vec<_> =
        list(&answer, "/data/groups").iter().flat_map(|group| list(group, "/rules")).collect();
    let bad = rules.iter().find(|rule| rule["health"] != "ok");
    match bad {
        None if rules.is_empty() => Err(Failure::new("no rules")),
        None => Ok(()),
        Some(rule) => Err(Failure::new(format!("a rule is not well: {rule}"))),
    }
}

fn list<'a>(value: &'a Value, at: &str) -> &'a [Value] {
    value.pointer(at).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}
