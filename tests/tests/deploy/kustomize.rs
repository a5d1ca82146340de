//! As much of kustomize as `deploy/kubernetes` uses. Anything else in a kustomization is a fault.

use std::collections::BTreeSet;
use std::path::Path;

use openfed_tests::{Failure, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{document, documents, list, string, text};

/// What a kustomization may say.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kustomization {
    api_version: String,
    kind: String,
    namespace: Option<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default)]
    components: Vec<String>,
    #[serde(default)]
    config_map_generator: Vec<Generator>,
    #[serde(default)]
    images: Vec<Image>,
    #[serde(default)]
    replicas: Vec<Replicas>,
    #[serde(default)]
    patches: Vec<Patch>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Generator {
    name: String,
    files: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Image {
    name: String,
    new_name: String,
    new_tag: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replicas {
    name: String,
    count: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Patch {
    target: Target,
    path: Option<String>,
    patch: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    kind: String,
    name: String,
}

/// One operation of RFC 6902.
#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
enum Change {
    Add { path: String, value: Value },
    Replace { path: String, value: Value },
}

/// All objects that `kubectl apply -k FOLDER` would send.
pub(crate) fn build(folder: &Path) -> Result<Vec<Value>> {
    let mut objects = Vec::new();
    let kind = ("kustomize.config.k8s.io/v1beta1", "Kustomization");
    apply(folder, kind, &mut objects)?;
    Ok(objects)
}

/// Adds to the objects, and changes them, as the file in this folder says.
fn apply(folder: &Path, kind: (&str, &str), objects: &mut Vec<Value>) -> Result<()> {
    let own: Kustomization = serde_json::from_value(document(&folder.join("kustomization.yaml"))?)?;
    assert_eq!((own.api_version.as_str(), own.kind.as_str()), kind, "{}", folder.display());
    every_file_is_listed(folder, &own)?;
    for resource in &own.resources {
        let path = folder.join(resource);
        objects.extend(if path.is_dir() { build(&path)? } else { documents(&path)? });
    }
    for generator in own.config_map_generator {
        let mut data = json!({});
        for file in generator.files {
            data[&file] = text(&folder.join(&file))?.into();
        }
        let metadata = json!({ "name": generator.name });
        objects.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data,
        }));
    }
    for component in &own.components {
        let kind = ("kustomize.config.k8s.io/v1alpha1", "Component");
        apply(&folder.join(component), kind, objects)?;
    }
    for patch in own.patches {
        let object = named(objects, &patch.target.kind, &patch.target.name)?;
        let patch = match (patch.path, patch.patch) {
            (Some(path), None) => text(&folder.join(path))?,
            (None, Some(patch)) => patch,
            _ => return Err(Failure::new("a patch is a path or a text")),
        };
        let changes = serde_saphyr::from_str(&patch)
            .map_err(|error| Failure::new(format!("{error} in {patch}")))?;
        change(object, changes)?;
    }
    own.images.iter().try_for_each(|image| use_image(objects, image))?;
    for Replicas { name, count } in own.replicas {
        named(objects, "Deployment", &name)?["spec"]["replicas"] = count.into();
    }
    if let Some(namespace) = own.namespace {
        for object in objects {
            let is_namespace = object["kind"] == "Namespace";
            let field = if is_namespace { "name" } else { "namespace" };
            object["metadata"][field] = namespace.as_str().into();
        }
    }
    Ok(())
}

/// The object of a kind and a name; a failure if there is none.
fn named<'a>(objects: &'a mut [Value], kind: &str, name: &str) -> Result<&'a mut Value> {
    let mut found = objects.iter_mut();
    found
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .ok_or_else(|| Failure::new(format!("there is no {kind} {name} to change")))
}

fn every_file_is_listed(folder: &Path, own: &Kustomization) -> Result<()> {
    let generated = own.config_map_generator.iter().flat_map(|generator| &generator.files);
    let patches = own.patches.iter().filter_map(|patch| patch.path.as_ref());
    let mut listed: BTreeSet<_> = own.resources.iter().chain(generated).chain(patches).collect();
    let kustomization = "kustomization.yaml".to_owned();
    listed.insert(&kustomization);
    for file in &listed {
        assert!(folder.join(file).exists(), "{} lists {file}", folder.display());
    }
    for entry in std::fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        assert!(listed.contains(&name), "{} does not list {name}", folder.display());
    }
    Ok(())
}

fn change(object: &mut Value, changes: Vec<Change>) -> Result<()> {
    for change in changes {
        let (path, value, exists) = match change {
            Change::Add { path, value } => (path, value, false),
            Change::Replace { path, value } => (path, value, true),
        };
        let absent = || Failure::new(format!("nothing to change at {path}"));
        if exists {
            *object.pointer_mut(&path).ok_or_else(absent)? = value;
            continue;
        }
        let (parent, key) = path.rsplit_once('/').ok_or_else(absent)?;
        match object.pointer_mut(parent).ok_or_else(absent)? {
            Value::Object(fields) => drop(fields.insert(key.to_owned(), value)),
            Value::Array(elements) if key == "-" => elements.push(value),
            _ => return Err(absent()),
        }
    }
    Ok(())
}

fn use_image(objects: &mut [Value], image: &Image) -> Result<()> {
    let Image { name, new_name, new_tag } = image;
    let mut used = false;
    let containers = objects.iter_mut().filter_map(|object| {
        object.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut)
    });
    for container in containers.flatten() {
        if string(container, "/image").split(':').next() == Some(name) {
            container["image"] = format!("{new_name}:{new_tag}").into();
            used = true;
        }
    }
    if used { Ok(()) } else { Err(Failure::new(format!("no container has the image {name}"))) }
}

/// The pod templates, each with the name of its Deployment.
pub(crate) fn pods(objects: &[Value]) -> Vec<(&str, &Value)> {
    let deployments = objects.iter().filter(|object| object["kind"] == "Deployment");
    deployments
        .map(|object| (string(object, "/metadata/name"), &object["spec"]["template"]))
        .collect()
}

/// The containers of a pod template.
pub(crate) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    list(pod, "/spec/containers")
}
