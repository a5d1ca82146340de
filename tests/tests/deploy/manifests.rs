//! The objects for Kubernetes: each what its API takes, and all fitting each other.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use openfed_tests::{Failure, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::kustomize::{build, containers, pods};
use crate::{deploy, document, list, string};

/// What an operator applies.
pub(crate) fn example() -> Result<Vec<Value>> {
    build(&deploy("kubernetes/overlays/example"))
}

/// What an operator applies who wants SIP over TLS, too.
pub(crate) fn example_with_tls() -> Result<Vec<Value>> {
    let overlay = tempfile::tempdir()?;
    let written = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [deploy("kubernetes/overlays/example")],
        "components": [deploy("kubernetes/components/sip-tls")],
    });
    std::fs::write(overlay.path().join("kustomization.yaml"), written.to_string())?;
    build(overlay.path())
}

fn of_kind<'a>(objects: &'a [Value], kind: &str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"] == kind)
}

/// A name for messages.
fn title(object: &Value) -> String {
    format!("{} {}", string(object, "/kind"), string(object, "/metadata/name"))
}

/// Reads an object as its API does and writes it again: what is missing or different then is what
/// the API would not have understood.
fn strictly<T: DeserializeOwned + Serialize>(object: &Value) -> Result<()> {
    let typed: T = serde_json::from_value(object.clone())
        .map_err(|error| Failure::new(format!("{}: {error}", title(object))))?;
    let mut faults = Vec::new();
    compare(object, &serde_json::to_value(typed)?, "", &mut faults);
    if faults.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("{}: not understood: {}", title(object), faults.join(", "))))
}

fn compare(given: &Value, understood: &Value, at: &str, faults: &mut Vec<String>) {
    match (given, understood) {
        (Value::Object(given), Value::Object(understood)) => {
            for (key, value) in given {
                let at = format!("{at}/{key}");
                match understood.get(key) {
                    Some(understood) => compare(value, understood, &at, faults),
                    None => faults.push(at),
                }
            }
        }
        (Value::Array(given), Value::Array(understood)) if given.len() == understood.len() => {
            for (index, (given, understood)) in given.iter().zip(understood).enumerate() {
                compare(given, understood, &format!("{at}/{index}"), faults);
            }
        }
        _ if given == understood => {}
        _ => faults.push(format!("{at} ({given} is taken for {understood})")),
    }
}

fn check(object: &Value) -> Result<()> {
    match (string(object, "/apiVersion"), string(object, "/kind")) {
        ("v1", "Namespace") => strictly::<Namespace>(object),
        ("v1", "ServiceAccount") => strictly::<ServiceAccount>(object),
        ("v1", "ConfigMap") => strictly::<ConfigMap>(object),
        ("v1", "Service") => strictly::<Service>(object),
        ("apps/v1", "Deployment") => strictly::<Deployment>(object),
        ("policy/v1", "PodDisruptionBudget") => strictly::<PodDisruptionBudget>(object),
        ("autoscaling/v2", "HorizontalPodAutoscaler") => {
            strictly::<HorizontalPodAutoscaler>(object)
        }
        ("networking.k8s.io/v1", "NetworkPolicy") => strictly::<NetworkPolicy>(object),
        (version, kind) => Err(Failure::new(format!("{version} {kind} is not known"))),
    }
}

#[test]
fn every_object_is_what_kubernetes_takes() -> Result<()> {
    let base = build(&deploy("kubernetes/base"))?;
    let example = example()?;
    base.iter().chain(&example).chain(&example_with_tls()?).try_for_each(check)?;
    for kind in ["Deployment", "PodDisruptionBudget"] {
        assert_eq!(of_kind(&example, kind).count(), 4, "{kind}: three services and dns");
    }
    let unique: BTreeSet<_> = example.iter().map(title).collect();
    assert_eq!(unique.len(), example.len(), "no two objects of a kind have one name");
    Ok(())
}

#[test]
fn what_kubernetes_would_not_understand_is_found() {
    let service = |spec: Value| json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "s" }, "spec": spec });
    assert!(check(&service(json!({ "type": "LoadBalancer" }))).is_ok());
    for (spec, fault) in [
        (json!({ "tpye": "LoadBalancer" }), "/spec/tpye"),
        (json!({ "ports": [{ "port": 1, "targetport": 2 }] }), "/spec/ports/0/targetport"),
        (json!({ "ports": [{ "port": "one" }] }), "expected i32"),
    ] {
        let found = check(&service(spec)).expect_err(fault);
        assert!(format!("{found:?}").contains(fault), "{found:?}");
    }
}

/// Whether a label selector (`matchLabels`, `matchExpressions` with `In`) takes these labels.
fn selects(selector: &Value, labels: &Value) -> bool {
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let equal = equal.into_iter().all(|(key, value)| labels.get(key) == Some(value));
    let among = list(selector, "/matchExpressions").all(|expression| {
        assert_eq!(expression["operator"], "In", "another operator is not understood here");
        let own = &labels[string(expression, "/key")];
        list(expression, "/values").any(|value| value == own)
    });
    equal && among
}

/// The Deployments whose pods are selected.
fn selected<'a>(objects: &'a [Value], selector: &Value) -> Vec<(&'a str, &'a Value)> {
    let all = pods(objects).into_iter();
    all.filter(|(_, pod)| selects(selector, &pod["metadata"]["labels"])).collect()
}

#[test]
fn selectors_find_the_pods_that_they_mean() -> Result<()> {
    let objects = example()?;
    for deployment in of_kind(&objects, "Deployment") {
        let name = string(deployment, "/metadata/name");
        let spec = &deployment["spec"];
        let pod = &spec["template"]["spec"];
        let spread = list(pod, "/topologySpreadConstraints").map(|spread| &spread["labelSelector"]);
        let preferred = "/affinity/podAntiAffinity/preferredDuringSchedulingIgnoredDuringExecution";
        let apart = list(pod, preferred).map(|term| &term["podAffinityTerm"]["labelSelector"]);
        let selectors: Vec<_> =
            [&spec["selector"]].into_iter().chain(spread).chain(apart).collect();
        assert_eq!(selectors.len(), 3, "{name} selects its pods, spreads and keeps them apart");
        for selector in selectors {
            let found = selected(&objects, selector);
            assert_eq!(found.iter().map(|(name, _)| *name).collect::<Vec<_>>(), [name]);
        }
        let budget = of_kind(&objects, "PodDisruptionBudget");
        let budgets = budget.filter(|budget| budget["spec"]["selector"] == spec["selector"]);
        assert_eq!(budgets.count(), 1, "{name} has one PodDisruptionBudget");
    }
    for service in of_kind(&objects, "Service") {
        let selector = json!({ "matchLabels": service["spec"]["selector"] });
        assert_eq!(selected(&objects, &selector).len(), 1, "{}", title(service));
    }
    Ok(())
}

/// Whether a pod has the named port, by this protocol.
fn has_port(pod: &Value, port: &Value, protocol: &Value) -> bool {
    containers(pod)
        .flat_map(|container| list(container, "/ports"))
        .any(|own| &own["name"] == port && &own["protocol"] == protocol)
}

#[test]
fn ports_that_are_named_exist() -> Result<()> {
    every_named_port_exists(&example()?)?;
    let with_tls = example_with_tls()?;
    let service = of_kind(&with_tls, "Service").find(|own| own["metadata"]["name"] == "sip-cm");
    let service = service.ok_or_else(|| Failure::new("no Service sip-cm"))?;
    assert!(list(service, "/spec/ports").any(|port| port["port"] == 5061));
    every_named_port_exists(&with_tls)
}

fn every_named_port_exists(objects: &[Value]) -> Result<()> {
    for service in of_kind(objects, "Service") {
        let selector = json!({ "matchLabels": service["spec"]["selector"] });
        for port in list(service, "/spec/ports") {
            let (target, protocol) = (&port["targetPort"], &port["protocol"]);
            let found = selected(objects, &selector);
            let exists = found.iter().all(|(_, pod)| has_port(pod, target, protocol));
            assert!(target.is_string() && exists, "{}: {target}", title(service));
            for (name, pod) in found {
                let let_in = of_kind(objects, "NetworkPolicy")
                    .filter(|own| selects(&own["spec"]["podSelector"], &pod["metadata"]["labels"]))
                    .flat_map(|policy| list(policy, "/spec/ingress"))
                    .flat_map(|rule| list(rule, "/ports"))
                    .any(|open| &open["port"] == target && &open["protocol"] == protocol);
                assert!(let_in, "no NetworkPolicy lets {target} in to {name}");
            }
        }
    }
    for policy in of_kind(objects, "NetworkPolicy") {
        let pods = selected(objects, &policy["spec"]["podSelector"]);
        assert!(!pods.is_empty(), "{} is about no pod", title(policy));
        let incoming = list(policy, "/spec/ingress").map(|rule| (rule, pods.clone()));
        let outgoing = list(policy, "/spec/egress").map(|rule| {
            let to = list(rule, "/to").filter_map(|to| to.get("podSelector"));
            (rule, to.flat_map(|selector| selected(objects, selector)).collect())
        });
        for (rule, pods) in incoming.chain(outgoing) {
            for port in list(rule, "/ports").filter(|port| port["port"].is_string()) {
                let exists =
                    pods.iter().all(|(_, pod)| has_port(pod, &port["port"], &port["protocol"]));
                assert!(exists && !pods.is_empty(), "{}: {port}", title(policy));
            }
            for from in list(rule, "/from").filter_map(|from| from.get("podSelector")) {
                assert!(!selected(objects, from).is_empty(), "{}: {from}", title(policy));
            }
        }
    }
    Ok(())
}

#[test]
fn services_are_scaled_by_metrics_that_the_adapter_makes() -> Result<()> {
    let objects = example()?;
    let adapter = document(&deploy("kubernetes/prometheus/adapter.yml"))?;
    let made: BTreeSet<_> = list(&adapter, "/rules").map(|rule| string(rule, "/name/as")).collect();
    let mut used = BTreeSet::new();
    for scaler in of_kind(&objects, "HorizontalPodAutoscaler") {
        let target = string(scaler, "/spec/scaleTargetRef/name");
        let mut deployments = of_kind(&objects, "Deployment");
        let deployment = deployments.find(|object| string(object, "/metadata/name") == target);
        let deployment = deployment.ok_or_else(|| Failure::new(format!("no {target} to scale")))?;
        let fixed = &deployment["spec"]["replicas"];
        assert!(fixed.is_null(), "each time it is applied, {target} would have {fixed} replicas");
        let most = scaler["spec"]["maxReplicas"].as_u64();
        let least = scaler["spec"]["minReplicas"].as_u64();
        assert!(least >= Some(2) && least < most, "{target}: {least:?} to {most:?}");
        used.extend(
            list(scaler, "/spec/metrics").map(|metric| string(metric, "/pods/metric/name")),
        );
    }
    assert_eq!(of_kind(&objects, "HorizontalPodAutoscaler").count(), 3);
    assert_eq!(used, made, "used and made");
    Ok(())
}
