//! The pods: what they may do, and that our services would start in them.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use openfed_node::settings::{Settings, StoreUrl};
use openfed_tests::{Failure, Result};
use serde_json::{Value, json};
use xmpp_cm::tls::Authority;

use crate::kustomize::{containers, pods};
use crate::manifests::{example, example_with_tls};
use crate::{deploy, list, string, text};

/// What a process has after the end of its drain.
const CUT: Duration = Duration::from_secs(2);

/// The only container of a pod.
fn container<'a>(name: &str, pod: &'a Value) -> Result<&'a Value> {
    let mut all = containers(pod);
    match (all.next(), all.next()) {
        (Some(container), None) => Ok(container),
        _ => Err(Failure::new(format!("{name} has not one container"))),
    }
}

#[test]
fn pods_may_do_no_more_than_they_must() -> Result<()> {
    let objects = example()?;
    let exists = |kind: &str, name: &Value| {
        objects.iter().any(|object| object["kind"] == kind && &object["metadata"]["name"] == name)
    };
    for (name, pod) in pods(&objects) {
        let (spec, container) = (&pod["spec"], container(name, pod)?);
        assert_eq!(spec["automountServiceAccountToken"], false, "{name}");
        assert_eq!(spec["enableServiceLinks"], false, "{name}");
        assert!(exists("ServiceAccount", &spec["serviceAccountName"]), "{name}");
        let who = &spec["securityContext"];
        assert_eq!(who["runAsNonRoot"], true, "{name}");
        assert_eq!(who["seccompProfile"], json!({ "type": "RuntimeDefault" }), "{name}");
        // The user of the image, and the group of what is mounted.
        for id in ["runAsUser", "runAsGroup", "fsGroup"] {
            assert_eq!(who[id], 10001, "{name}: {id}");
        }
        let may = &container["securityContext"];
        assert_eq!(may["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(may["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(may["capabilities"], json!({ "drop": ["ALL"] }), "{name}");
        for bound in ["requests", "limits"] {
            for of in ["cpu", "memory"] {
                assert!(container["resources"][bound][of].is_string(), "{name}: {bound} of {of}");
            }
        }
    }
    Ok(())
}

#[test]
fn every_probe_asks_where_health_is_served() -> Result<()> {
    for (name, pod) in pods(&example()?) {
        for (probe, path) in [
            ("startupProbe", "/healthz"),
            ("livenessProbe", "/healthz"),
            ("readinessProbe", "/readyz"),
        ] {
            let asks = &container(name, pod)?[probe]["httpGet"];
            assert_eq!(asks, &json!({ "path": path, "port": "http" }), "{name}: {probe}");
        }
    }
    Ok(())
}

/// The overrides that a container gives to its process.
fn overrides(container: &Value) -> Vec<(String, String)> {
    let all = list(container, "/env").map(|variable| {
        let from = &variable["valueFrom"];
        let value = if from["secretKeyRef"].is_object() {
            "redis://:secret@redis.example:6379/0".to_owned()
        } else if from["fieldRef"]["fieldPath"] == "status.podIP" {
            "10.1.2.3".to_owned()
        } else {
            string(variable, "/value").replace("$(POD_IP)", "10.1.2.3")
        };
        (string(variable, "/name").to_owned(), value)
    });
    all.collect()
}

/// Where what is at `path` in a container comes from: the volume that is mounted there.
fn volume<'a>(pod: &'a Value, container: &Value, path: &Path) -> Result<&'a Value> {
    let mut mounts = list(container, "/volumeMounts");
    let mount = mounts.find(|mount| Path::new(string(mount, "/mountPath")) == path);
    let mount = mount.ok_or_else(|| Failure::new(format!("nothing at {}", path.display())))?;
    assert_eq!(mount["readOnly"], true, "{}", path.display());
    let volume = list(pod, "/spec/volumes").find(|volume| volume["name"] == mount["name"]);
    volume.ok_or_else(|| Failure::new(format!("no volume {}", mount["name"])))
}

/// What the process of a container would read at its start.
fn settings(objects: &[Value], name: &str, pod: &Value) -> Result<Settings> {
    let container = container(name, pod)?;
    let command: Vec<_> = list(container, "/command").filter_map(Value::as_str).collect();
    let expected = if name == "dns" { vec!["openfed", "dns"] } else { vec![name] };
    let [program @ .., "--config", file] = command.as_slice() else {
        return Err(Failure::new(format!("{name} runs {command:?}")));
    };
    assert_eq!(program, expected);
    let file = Path::new(file);
    let (folder, key) = (file.parent().unwrap_or(file), file.file_name().unwrap_or_default());
    let source = string(volume(pod, container, folder)?, "/configMap/name");
    let map = objects
        .iter()
        .find(|object| object["kind"] == "ConfigMap" && string(object, "/metadata/name") == source);
    let map = map.ok_or_else(|| Failure::new(format!("{name}: no ConfigMap {source}")))?;
    let place = tempfile::tempdir()?;
    let copy = place.path().join(key);
    std::fs::write(&copy, string(&map["data"], &format!("/{}", key.to_string_lossy())))?;
    Ok(Settings::load(Some(&copy), overrides(container).into_iter())?)
}

/// The ports of a container: number and protocol under each name.
fn port(container: &Value, name: &str) -> Option<(u64, String)> {
    let port = list(container, "/ports").find(|port| port["name"] == name)?;
    Some((port["containerPort"].as_u64()?, string(port, "/protocol").to_owned()))
}

#[test]
fn the_services_take_their_settings_and_listen_at_the_ports_of_their_pods() -> Result<()> {
    pods_listen_at_their_ports(&example()?)?;
    pods_listen_at_their_ports(&example_with_tls()?)
}

fn pods_listen_at_their_ports(objects: &[Value]) -> Result<()> {
    for (name, pod) in pods(objects) {
        let settings = settings(objects, name, pod)?;
        let container = container(name, pod)?;
        let dns = settings.xmpp.dns.clone().ok_or_else(|| Failure::new("no [xmpp.dns]"))?;
        assert!(dns.apart);
        let listens: Vec<(String, SocketAddr, &str)> = match name {
            "xcp-router" => vec![
                ("link".into(), settings.router.link, "TCP"),
                ("http".into(), settings.router.http, "TCP"),
                ("metrics".into(), settings.router.metrics.unwrap_or(settings.router.http), "TCP"),
            ],
            "sip-cm" => {
                let sip = settings.sip.listen.iter().map(|listen| {
                    let transport = listen.transport.as_str();
                    let protocol = if transport == "udp" { "UDP" } else { "TCP" };
                    (format!("sip-{transport}"), listen.address, protocol)
                });
                sip.chain([("http".into(), settings.sip.http, "TCP")]).collect()
            }
            "xmpp-cm" => vec![
                ("xmpp".into(), settings.xmpp.listen, "TCP"),
                ("http".into(), settings.xmpp.http, "TCP"),
            ],
            "dns" => vec![
                ("dns-udp".into(), dns.listen, "UDP"),
                ("dns-tcp".into(), dns.listen, "TCP"),
                ("http".into(), dns.http, "TCP"),
            ],
            other => return Err(Failure::new(format!("{other} is no service of ours"))),
        };
        assert_eq!(list(container, "/ports").count(), listens.len(), "{name}");
        for (port_name, address, protocol) in listens {
            assert!(address.ip().is_unspecified(), "{name}: {address} is not reached from outside");
            let expected = Some((u64::from(address.port()), protocol.to_owned()));
            assert_eq!(port(container, &port_name), expected, "{name}: {port_name}");
        }
        let pause = container["lifecycle"]["preStop"]["sleep"]["seconds"].as_u64();
        let needed = Duration::from_secs(pause.unwrap_or_default()) + settings.node.drain + CUT;
        let granted = pod["spec"]["terminationGracePeriodSeconds"].as_u64().unwrap_or_default();
        assert!(Duration::from_secs(granted) > needed, "{name} is killed while it drains");
    }
    Ok(())
}

#[test]
fn routers_share_a_store_and_managers_find_them() -> Result<()> {
    let objects = example()?;
    let headless = |name: &str| {
        objects.iter().any(|object| {
            object["kind"] == "Service"
                && object["metadata"]["name"] == name
                && object["spec"]["clusterIP"] == "None"
        })
    };
    for (name, pod) in pods(&objects) {
        let settings = settings(&objects, name, pod)?;
        if name == "xcp-router" {
            assert!(matches!(settings.store, StoreUrl::Redis(_)), "{:?}", settings.store);
        }
        for router in &settings.routers {
            let url = router.to_string();
            let host = url.trim_start_matches("http://").split(':').next().unwrap_or_default();
            assert!(headless(host), "{name}: {url} would be one router for all");
        }
        if name == "sip-cm" {
            let own = settings.sip.advertise.map(|own| own.to_string());
            assert_eq!(own.as_deref(), Some("10.1.2.3:5060"));
        }
    }
    assert!(headless("xmpp-cm"), "dns would answer with one address for all");
    Ok(())
}

/// The pod of one service.
fn pod<'a>(objects: &'a [Value], name: &str) -> Result<&'a Value> {
    let found = pods(objects).into_iter().find(|(own, _)| *own == name);
    found.map(|(_, pod)| pod).ok_or_else(|| Failure::new(format!("no {name}")))
}

/// The Secret that the pod of a service finds in this folder.
fn secret<'a>(name: &str, pod: &'a Value, folder: &Path) -> Result<&'a str> {
    let secret = &volume(pod, container(name, pod)?, folder)?["secret"];
    // Readable for the group: user 10001 does not own it.
    assert_eq!(secret["defaultMode"], 0o440, "{name}: {}", folder.display());
    Ok(string(secret, "/secretName"))
}

#[test]
fn replicas_of_xmpp_cm_share_the_key_of_a_secret() -> Result<()> {
    let (name, objects) = ("xmpp-cm", example()?);
    let pod = pod(&objects, name)?;
    let settings = settings(&objects, name, pod)?;
    assert_eq!(secret(name, pod, &settings.xmpp.tls_directory)?, "openfed-authority");
    Ok(())
}

#[test]
fn sip_over_tls_has_the_certificate_of_a_secret() -> Result<()> {
    let (name, objects) = ("sip-cm", example_with_tls()?);
    let pod = pod(&objects, name)?;
    let settings = settings(&objects, name, pod)?;
    let identity = settings.sip.tls.identity.ok_or_else(|| Failure::new("no certificate"))?;
    // What `kubectl create secret tls` makes.
    for (file, key) in [(&identity.certificate, "tls.crt"), (&identity.key, "tls.key")] {
        assert_eq!(file.file_name().and_then(|name| name.to_str()), Some(key));
        assert_eq!(secret(name, pod, file.parent().unwrap_or(file))?, "openfed-sip-tls");
    }
    assert!(guide()?.contains("create secret tls openfed-sip-tls --cert="), "the guide makes it");
    Ok(())
}

#[test]
fn routers_share_the_token_of_a_secret() -> Result<()> {
    let (name, objects) = ("xcp-router", example()?);
    let pod = pod(&objects, name)?;
    let settings = settings(&objects, name, pod)?;
    let file = settings.token_file().ok_or_else(|| Failure::new("no token file"))?;
    assert_eq!(secret(name, pod, file.parent().unwrap_or(&file))?, "openfed-access");
    assert!(!settings.router.first_administrator, "a password would be in the cluster's logs");
    Ok(())
}

/// The guide's section "In Kubernetes".
fn guide() -> Result<String> {
    let page = text(&deploy("README.md"))?;
    let section = page.split("\n## ").find(|section| section.starts_with("In Kubernetes\n"));
    section.map(str::to_owned).ok_or_else(|| Failure::new("the guide has no such section"))
}

#[test]
fn the_secrets_that_pods_need_are_in_the_guide() -> Result<()> {
    let guide = guide()?;
    let objects = example()?;
    let mut found = 0;
    for (name, pod) in pods(&objects) {
        let environment = containers(pod).flat_map(|container| list(container, "/env"));
        let keys = environment.filter_map(|variable| variable.pointer("/valueFrom/secretKeyRef"));
        let keys = keys.map(|key| (string(key, "/name"), vec![string(key, "/key")]));
        let files = list(pod, "/spec/volumes").filter_map(|volume| volume.get("secret"));
        let files = files.map(|secret| match string(secret, "/secretName") {
            "openfed-access" => ("openfed-access", vec!["token"]),
            other => (other, vec!["authority.pem", "authority.key"]),
        });
        for (secret, parts) in keys.chain(files) {
            let made = format!("create secret generic {secret}");
            let made = guide.split_once(&made).map(|(_, rest)| rest);
            let made = made.and_then(|rest| rest.split("kubectl").next()).unwrap_or_default();
            for part in parts {
                let is_made = made.contains(&format!("={part}"));
                assert!(is_made, "{name} needs {part} of the Secret {secret}");
            }
            found += 1;
        }
    }
    assert_eq!(found, 3);
    Ok(())
}

#[test]
fn the_authority_that_the_guide_makes_is_one_for_xmpp_cm() -> Result<()> {
    let guide = guide()?;
    let commands: Vec<_> = guide
        .replace("\\\n", " ")
        .lines()
        .filter(|line| line.starts_with("openssl "))
        .map(str::to_owned)
        .collect();
    assert!(!commands.is_empty(), "the guide makes none");
    let place = tempfile::tempdir()?;
    let script = commands.join(" && ");
    let made = Command::new("sh").args(["-c", &script]).current_dir(&place).output()?;
    let log = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{script}: {log}");
    // Two instances that were given the same Secret, and that cannot write to it.
    let before = names(place.path())?;
    let secrets =
        [Authority::load_or_create(place.path()), Authority::load_or_create(place.path())];
    let [one, two] = secrets.map(|authority| authority.map(|own| own.secret().to_vec()));
    assert_eq!(one?, two?);
    assert_eq!(before, ["authority.key", "authority.pem"]);
    assert_eq!(names(place.path())?, before, "nothing is written");
    Ok(())
}

/// The files in a folder.
fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder)?;
    let names: std::io::Result<Vec<_>> =
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect();
    let mut names = names?;
    names.sort();
    Ok(names)
}
