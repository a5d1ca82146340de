//! What Prometheus, its adapter and Grafana are given: valid to Prometheus' own tool, and about
//! nothing but what the services export.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use openfed_tests::{Failure, Result};
use serde_json::{Value, json};

use crate::metrics::Exported;
use crate::{deploy, document, list, string, text};

const DASHBOARD: &str = "grafana/dashboards/openfed.json";

/// Runs `promtool`, of the Debian package prometheus.
fn promtool(arguments: &[&str], file: &Path) -> Result<String> {
    let output = Command::new("promtool").args(arguments).arg(file).output();
    let output = output.map_err(|error| Failure::new(format!("promtool: {error}")))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    Err(Failure::new(format!("promtool {arguments:?} {}: {said}", file.display())))
}

/// Has `promtool` judge expressions, as the rules of a file.
fn are_valid(expressions: &[String]) -> Result<()> {
    let numbered = expressions.iter().enumerate();
    let rules = numbered.map(|(n, expr)| json!({ "record": format!("test:{n}"), "expr": expr }));
    let rules = json!({ "groups": [{ "name": "test", "rules": rules.collect::<Vec<_>>() }] });
    let place = tempfile::tempdir()?;
    let file = place.path().join("rules.yml");
    std::fs::write(&file, rules.to_string())?;
    promtool(&["check", "rules"], &file).map(drop)
}

#[test]
fn prometheus_takes_its_settings_and_rules() -> Result<()> {
    let said = promtool(&["check", "config"], &deploy("prometheus/prometheus.yml"))?;
    assert!(said.contains("1 rule files found"), "the settings name the rules: {said}");
    promtool(&["check", "rules"], &deploy("prometheus/alerts.yml"))?;
    promtool(&["test", "rules"], &deploy("prometheus/alerts.test.yml")).map(drop)
}

/// Debian's Prometheus is built without Kubernetes: the rest of the file is looked at.
#[test]
fn prometheus_in_a_cluster_takes_its_settings() -> Result<()> {
    let mut settings = document(&deploy("kubernetes/prometheus/scrape.yml"))?;
    let job = settings.pointer_mut("/scrape_configs/0").and_then(Value::as_object_mut);
    let job = job.ok_or_else(|| Failure::new("no job"))?;
    let discovery = job.remove("kubernetes_sd_configs").unwrap_or_default();
    assert_eq!(discovery.pointer("/0/role"), Some(&json!("pod")));
    job.insert("static_configs".into(), json!([{ "targets": ["pod:1"] }]));
    let place = tempfile::tempdir()?;
    let file = place.path().join("prometheus.yml");
    std::fs::write(&file, settings.to_string())?;
    promtool(&["check", "config"], &file).map(drop)
}

#[test]
fn prometheus_finds_every_service_at_its_own_port() -> Result<()> {
    let compose = document(&deploy("compose.yaml"))?;
    let settings = document(&deploy("prometheus/prometheus.yml"))?;
    let own = text(&deploy("compose/openfed.toml"))?;
    let mut jobs = BTreeSet::new();
    for job in list(&settings, "/scrape_configs") {
        let name = string(job, "/job_name");
        let found = &job["dns_sd_configs"][0];
        assert_eq!(found["names"], json!([name]), "by the name that all replicas share");
        assert_eq!(found["type"], "A", "{name}");
        assert!(compose["services"].get(name).is_some(), "{name} is a service");
        let port = found["port"].as_u64().unwrap_or_default();
        let at = |key: &str| own.contains(&format!("{key} = \"0.0.0.0:{port}\""));
        assert!(at(if name == "xcp-router" { "metrics" } else { "http" }), "{name} at {port}");
        jobs.insert((name, port));
    }
    let services = [("dns", 7483), ("sip-cm", 7481), ("xcp-router", 7484), ("xmpp-cm", 7482)];
    assert_eq!(jobs, BTreeSet::from(services).union(&[("front", 7485)].into()).copied().collect());
    Ok(())
}

#[test]
fn alerts_are_about_what_is_exported() -> Result<()> {
    let exported = Exported::read()?;
    let rules = document(&deploy("prometheus/alerts.yml"))?;
    let guide = text(&deploy("README.md"))?;
    let mut names = BTreeSet::new();
    for alert in list(&rules, "/groups").flat_map(|group| list(group, "/rules")) {
        let name = string(alert, "/alert");
        assert!(names.insert(name) && name.starts_with("Openfed"), "{name}");
        assert!(guide.contains(&format!("`{name}`")), "the guide does not say what to do: {name}");
        exported.answers(string(alert, "/expr"))?;
        let severity = string(alert, "/labels/severity");
        assert!(["page", "ticket"].contains(&severity), "{name}: {severity}");
        for text in ["summary", "description"].map(|part| &alert["annotations"][part]) {
            let text = text.as_str().unwrap_or_default();
            for label in text.split("$labels.").skip(1).filter_map(|rest| rest.split(' ').next()) {
                assert!(exported.is_label(label), "{name} tells of {label}");
            }
        }
    }
    assert!(names.len() > 10, "the alerts are found");
    Ok(())
}

/// Every string under this key, however deep.
fn under<'a>(value: &'a Value, key: &str, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key).and_then(Value::as_str));
            fields.values().for_each(|value| under(value, key, found));
        }
        Value::Array(elements) => elements.iter().for_each(|value| under(value, key, found)),
        _ => {}
    }
}

#[test]
fn the_dashboard_shows_what_is_exported_and_all_of_it() -> Result<()> {
    let exported = Exported::read()?;
    let dashboard = document(&deploy(DASHBOARD))?;
    let mut expressions = Vec::new();
    under(&dashboard["panels"], "expr", &mut expressions);
    let expressions: Vec<_> =
        expressions.iter().map(|text| text.replace("$__rate_interval", "1m")).collect();
    let mut shown = BTreeSet::new();
    for expression in &expressions {
        shown.extend(exported.answers(expression)?.into_iter().map(|selector| selector.name));
    }
    are_valid(&expressions)?;
    let base = |series: &str| {
        let histogram = ["_bucket", "_sum", "_count"];
        histogram.iter().find_map(|end| series.strip_suffix(end)).unwrap_or(series).to_owned()
    };
    let shown: BTreeSet<_> = shown.iter().map(|series| base(series)).collect();
    let hidden: Vec<_> = exported
        .series
        .keys()
        .map(|series| base(series))
        .filter(|own| !shown.contains(own))
        .collect();
    assert!(hidden.is_empty(), "exported, but not in the dashboard: {hidden:?}");
    let mut legends = Vec::new();
    under(&dashboard["panels"], "legendFormat", &mut legends);
    for legend in legends {
        for label in legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()) {
            assert!(exported.is_label(label), "{legend} names {label}");
        }
    }
    Ok(())
}

#[test]
fn the_dashboard_finds_its_data_and_grafana_the_dashboard() -> Result<()> {
    let exported = Exported::read()?;
    let dashboard = document(&deploy(DASHBOARD))?;
    let variables: Vec<_> = list(&dashboard, "/templating/list").collect();
    for variable in variables.iter().filter(|variable| variable["type"] == "query") {
        let query = string(variable, "/query/query");
        let asked = query.strip_prefix("label_values(").and_then(|rest| rest.rsplit_once(','));
        let (series, label) = asked.ok_or_else(|| Failure::new(format!("{query}?")))?;
        exported.answers(series)?;
        assert!(exported.is_label(label.trim_matches([' ', ')'])), "{query}");
    }
    let sources = document(&deploy("grafana/provisioning/datasources/prometheus.yaml"))?;
    let source = &sources["datasources"][0];
    assert_eq!(source["type"], "prometheus");
    assert_eq!(source["url"], "http://prometheus:9090");
    assert_eq!(variables[0]["current"]["value"], source["uid"], "what a new dashboard looks at");
    let mut used = Vec::new();
    under(&dashboard["panels"], "uid", &mut used);
    assert!(used.iter().all(|uid| *uid == "${datasource}"), "{used:?}");

    let providers = document(&deploy("grafana/provisioning/dashboards/openfed.yaml"))?;
    let path = string(&providers, "/providers/0/options/path");
    let compose = document(&deploy("compose.yaml"))?;
    let mount = format!("./grafana/dashboards:{path}:ro");
    let mounts: Vec<_> = list(&compose, "/services/grafana/volumes").collect();
    assert!(mounts.contains(&&json!(mount)), "{mount} among {mounts:?}");
    Ok(())
}

#[test]
fn the_adapter_makes_its_metrics_of_what_is_exported() -> Result<()> {
    let exported = Exported::read()?;
    let adapter = document(&deploy("kubernetes/prometheus/adapter.yml"))?;
    let mut queries = Vec::new();
    for rule in list(&adapter, "/rules") {
        let series = string(rule, "/seriesQuery");
        let found = exported.answers(series)?;
        let [selector] = found.as_slice() else {
            return Err(Failure::new(format!("{series} is not one series")));
        };
        let query = string(rule, "/metricsQuery").replace("<<.Series>>", &selector.name);
        let query = query.replace("<<.LabelMatchers>>", "namespace=\"openfed\"");
        let query = query.replace("<<.GroupBy>>", "pod");
        exported.answers(&query)?;
        queries.push(query);
        for of in ["namespace", "pod"] {
            assert_eq!(rule["resources"]["overrides"][of]["resource"], of, "{series}");
        }
    }
    are_valid(&queries)
}
