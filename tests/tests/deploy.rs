//! What `deploy/` ships is what Kubernetes, Docker, Prometheus and our own services take, and its
//! parts fit each other: found out without a cluster.

#[path = "deploy/kustomize.rs"]
mod kustomize;
#[path = "deploy/manifests.rs"]
mod manifests;
#[path = "deploy/metrics.rs"]
mod metrics;
#[path = "deploy/pods.rs"]
mod pods;
#[path = "deploy/prometheus.rs"]
mod prometheus;

use std::path::{Path, PathBuf};

use openfed_tests::{Failure, Result};
use serde_json::Value;

/// The root of the project.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn deploy(path: &str) -> PathBuf {
    root().join("deploy").join(path)
}

/// A file's text; a failure names the file.
fn text(path: &Path) -> Result<String> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// The documents of a YAML or JSON file.
fn documents(path: &Path) -> Result<Vec<Value>> {
    let text = text(path)?;
    serde_saphyr::from_multiple(&text)
        .map_err(|error| Failure::new(format!("{}: {error}", path.display())))
}

/// The one document of a YAML or JSON file.
fn document(path: &Path) -> Result<Value> {
    let mut all = documents(path)?;
    match (all.pop(), all.is_empty()) {
        (Some(document), true) => Ok(document),
        _ => Err(Failure::new(format!("{} is not one document", path.display()))),
    }
}

/// The elements of the list at a JSON pointer; none if there is no such list.
fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// The string at a JSON pointer; empty if there is none.
fn string<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Services that name one image share one build: Compose v5 builds all at once, and the second
/// export of a tag fails. Whoever builds is started first, so that Compose 1.29 does not pull it.
#[test]
fn compose_builds_no_tag_twice() -> Result<()> {
    let compose = document(&deploy("compose.yaml"))?;
    let services = compose["services"].as_object().ok_or_else(|| Failure::new("no services"))?;
    let builds = |service: &Value| service.get("build").is_some_and(|build| !build.is_null());
    let mut builders = std::collections::BTreeMap::new();
    for (name, service) in services.iter().filter(|(_, service)| builds(service)) {
        let other = builders.insert(string(service, "/image"), name.as_str());
        assert_eq!(other, None, "{name} builds the same tag");
    }
    assert_eq!(builders.len(), 2, "openfed and the world of the demo: {builders:?}");
    for (name, service) in services.iter().filter(|(_, service)| !builds(service)) {
        let Some(builder) = builders.get(string(service, "/image")) else { continue };
        let named = list(service, "/depends_on").filter_map(Value::as_str).any(|it| it == *builder);
        let keyed = service["depends_on"].get(*builder).is_some();
        assert!(named || keyed, "{name} starts before {builder} has built its image");
    }
    Ok(())
}

#[test]
fn what_compose_mounts_and_builds_is_there() -> Result<()> {
    let compose = document(&deploy("compose.yaml"))?;
    let services = compose["services"].as_object().ok_or_else(|| Failure::new("no services"))?;
    let mut seen = 0;
    for (name, service) in services {
        let mounts = list(service, "/volumes").filter_map(Value::as_str);
        let sources = mounts.filter_map(|mount| mount.split(':').next());
        for source in sources.filter(|source| source.starts_with('.')) {
            assert!(deploy(source).exists(), "{name} mounts {source}");
            seen += 1;
        }
        let build = service.get("build").filter(|build| !build.is_null());
        let context = build.map(|build| string(build, "/context"));
        if let Some(context) = context {
            let dockerfile = build.map_or("", |build| string(build, "/dockerfile"));
            let dockerfile = if dockerfile.is_empty() { "Dockerfile" } else { dockerfile };
            let dockerfile = deploy(context).join(dockerfile);
            assert!(dockerfile.is_file(), "{name} is built from {}", dockerfile.display());
        }
        if string(service, "/image").contains("OPENFED_IMAGE") {
            assert_eq!(service["mem_limit"], "1g", "{name}: the guide says so");
        }
        let named = list(service, "/volumes").filter_map(Value::as_str);
        let named = named.filter_map(|mount| mount.split(':').next());
        for volume in named.filter(|source| !source.starts_with('.')) {
            assert!(compose["volumes"].get(volume).is_some(), "{name} mounts {volume}");
        }
    }
    assert!(seen >= 8, "the mounts are found: {seen}");
    Ok(())
}

/// What a port of the host is given to: a range would wander, for its numbers are given in turns.
#[test]
fn what_compose_publishes_is_one_number_each_and_no_replica_has_one() -> Result<()> {
    let compose = document(&deploy("compose.yaml"))?;
    let services = compose["services"].as_object().ok_or_else(|| Failure::new("no services"))?;
    let mut published = std::collections::BTreeMap::new();
    for (name, service) in services {
        for port in list(service, "/ports").filter_map(Value::as_str) {
            let (host, _) = port.rsplit_once(':').ok_or_else(|| Failure::new("a port of ours"))?;
            let number = host.rsplit(':').next().unwrap_or_default();
            // `${PROMETHEUS_PORT:-9090}` is one, too.
            let number = number.trim_start_matches('-').trim_end_matches('}');
            assert!(number.parse::<u16>().is_ok(), "{name} publishes {port}");
            published.entry(name.as_str()).or_insert_with(Vec::new).push(port);
        }
    }
    for replicated in ["sip-cm", "xmpp-cm", "xcp-router"] {
        assert!(!published.contains_key(replicated), "{replicated} comes and goes");
    }
    let front = published.get("front").cloned().unwrap_or_default();
    let console = "${OPENFED_CONSOLE_AT:-127.0.0.1}:7480:7480/tcp";
    assert_eq!(front, ["5060:5060/udp", "5060:5060/tcp", "5269:5269/tcp", console]);
    // Each of them is passed on to replicas that take it from the front.
    let own = deploy("compose/openfed.toml");
    let own = openfed_node::settings::Settings::load(Some(&own), std::iter::empty())
        .map_err(|errors| Failure::new(errors.to_string()))?;
    for port in front {
        let (listen, transport) = port.rsplit_once('/').unwrap_or_default();
        let port = listen.rsplit(':').next().unwrap_or_default();
        let passes = |pass: &openfed_node::settings::Pass| {
            pass.listen.to_string() == format!("{transport}:0.0.0.0:{port}")
                && services.contains_key(&pass.to.host)
                && pass.to.port.to_string() == port
        };
        assert_eq!(
            own.front.pass.iter().filter(|pass| passes(pass)).count(),
            1,
            "{transport} {port}"
        );
    }
    let from = vec!["front".parse().map_err(Failure::new)?];
    for proxies in [&own.sip.proxy_from, &own.xmpp.proxy_from, &own.router.proxy_from] {
        assert_eq!(*proxies, from);
    }
    Ok(())
}
