use std::collections::BTreeSet;

use super::*;

/// All `$ref` targets of a document.
fn references(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                found.insert(target.clone());
            }
            fields.values().for_each(|value| references(value, found));
        }
        Value::Array(items) => items.iter().for_each(|value| references(value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_somewhere_and_every_schema_is_used() {
    let document = build();
    let mut found = BTreeSet::new();
    references(&document, &mut found);
    for target in &found {
        let pointer = target.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{target}");
    }
    let schemas = document["components"]["schemas"].as_object().unwrap();
    for name in schemas.keys() {
        assert!(found.contains(&format!("#/components/schemas/{name}")), "{name} is not used");
    }
}

#[test]
fn every_operation_has_its_own_name_its_parameters_and_its_refusals() {
    let document = build();
    let mut names = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap().to_owned();
            assert!(names.insert(name), "{path} {method}");
            let parameters = operation["parameters"].as_array().unwrap();
            let in_path = parameters.iter().filter(|one| one["in"] == "path").count();
            assert_eq!(in_path, path.matches('{').count(), "{path} {method}");
            let answers = operation["responses"].as_object().unwrap();
            for status in ["401", "403", "429", "503", "507"] {
                assert!(answers.contains_key(status), "{path} {method}: {status}");
            }
            assert!(answers.keys().any(|status| status.starts_with('2')), "{path} {method}");
            assert!(operation["description"].as_str().unwrap().ends_with('.'), "{operation}");
        }
    }
    assert!(names.len() > 35, "the operations are there: {}", names.len());
}

#[test]
fn who_may_is_said_by_the_table_that_the_gate_uses() {
    let document = build();
    for (path, method, expected) in [
        ("/static-routes", "post", "Needs the scope `routes`, or the role administrator."),
        ("/static-routes", "get", "Needs the scope `read` or `routes`, or any role."),
        ("/users", "get", "Needs the scope `admin`, or the role administrator."),
        ("/session", "post", "Needs no login."),
        ("/session", "get", "Needs a session."),
    ] {
        assert_eq!(document["paths"][path][method]["description"], expected, "{path} {method}");
    }
}
