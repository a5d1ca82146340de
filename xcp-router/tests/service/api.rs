//! The API: what it shows, what it takes, and how it refuses.

use serde_json::{Value, json};

use crate::stage::Stage;

const ROUTES: &str = "/api/v1/static-routes";

/// The fields that a problem document complains about.
fn faulty(problem: &Value) -> Vec<&str> {
    let errors = problem["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    errors.iter().filter_map(|error| error["field"].as_str()).collect()
}

async fn stage() -> (tempfile::TempDir, Stage) {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    (directory, stage)
}

#[tokio::test]
async fn the_open_route_is_there_blocked_and_keeps_its_nature() {
    let (_directory, stage) = stage().await;
    for key in [".*", ".%2A", "%2A", "*", "0"] {
        let (status, route) = stage.get(&format!("{ROUTES}/{key}")).await;
        assert_eq!(status, 200, "{key}: {route}");
        assert_eq!((&route["pattern"], &route["predefined"]), (&json!(".*"), &json!(true)));
        assert_eq!((&route["blocked"], &route["next_hop"]), (&json!(true), &json!("")));
    }
    let (status, _) = stage.call("DELETE", &format!("{ROUTES}/.*"), None).await;
    assert_eq!(status, 409);
    let twin = json!({ "pattern": "*", "next_hop": "192.0.2.1" });
    assert_eq!(stage.call("POST", ROUTES, Some(twin)).await.0, 409);
    for (change, field) in
        [(json!({ "pattern": ".com.example" }), "pattern"), (json!({ "type": "user" }), "type")]
    {
        let (status, problem) = stage.call("PATCH", &format!("{ROUTES}/.*"), Some(change)).await;
        assert_eq!((status, faulty(&problem)), (422, vec![field]), "{problem}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn unblocking_needs_next_hop_port_and_protocol_field_by_field() {
    let (_directory, stage) = stage().await;
    let unblock = |more: Value| {
        let mut change = json!({ "blocked": false });
        for (key, value) in more.as_object().unwrap() {
            change[key] = value.clone();
        }
        stage.call("PATCH", "/api/v1/static-routes/.*", Some(change))
    };
    let (status, problem) = unblock(json!({})).await;
    assert_eq!(status, 422);
    assert_eq!(faulty(&problem), ["next_hop", "port", "protocol"]);
    let (_, problem) = unblock(json!({ "next_hop": "sbc.example.net" })).await;
    assert_eq!(faulty(&problem), ["port", "protocol"]);
    let full = json!({ "next_hop": "sbc.example.net", "port": 0, "protocol": "TLS" });
    let (status, route) = unblock(full).await;
    assert_eq!(
        (status, &route["blocked"], &route["protocol"]),
        (200, &json!(false), &json!("tls"))
    );
    // From then on block and unblock need nothing more.
    let block = json!({ "blocked": true });
    assert_eq!(stage.call("PATCH", &format!("{ROUTES}/.*"), Some(block)).await.0, 200);
    assert_eq!(unblock(json!({})).await.0, 200);
    // Without its next hop it cannot stay unblocked.
    let (_, problem) = unblock(json!({ "next_hop": "" })).await;
    assert_eq!(faulty(&problem), ["next_hop"]);
    stage.stop().await;
}

#[tokio::test]
async fn a_route_lives_from_creation_to_removal() {
    let (_directory, stage) = stage().await;
    let body = json!({
        "pattern": ".com.partner.*", "next_hop": "2001:db8::1", "port": 5061, "protocol": "tls",
        "priority": 2, "weight": 3, "description": "partner",
        "credentials": { "username": "us", "password": "secret" },
    });
    let (status, route) = stage.call("POST", ROUTES, Some(body.clone())).await;
    assert_eq!(status, 201, "{route}");
    assert_eq!(route["credentials"], json!({ "username": "us" }), "a password is never shown");
    assert_eq!((&route["version"], &route["next_hop"]), (&json!(1), &json!("2001:db8::1")));
    let one = format!("{ROUTES}/.com.partner.%2A");
    // What was shown may be sent back as it is.
    let (status, same) = stage.call("PUT", &one, Some(route.clone())).await;
    assert_eq!(
        (status, &same["credentials"], &same["priority"]),
        (200, &route["credentials"], &json!(2))
    );
    // A lost update is refused.
    let stale = json!({ "priority": 9, "version": 1 });
    assert_eq!(stage.call("PATCH", &one, Some(stale)).await.0, 409);
    // A second route of that pattern makes the pattern ambiguous; the id is not.
    let (_, twin) = stage.call("POST", ROUTES, Some(body)).await;
    assert_eq!(stage.get(&one).await.0, 409);
    let id = twin["id"].as_u64().unwrap();
    assert_eq!(stage.call("DELETE", &format!("{ROUTES}/{id}"), None).await.0, 204);
    assert_eq!(stage.get(&one).await.0, 200);
    let (_, list) = stage.get(ROUTES).await;
    let patterns: Vec<&str> =
        list["items"].as_array().unwrap().iter().filter_map(|r| r["pattern"].as_str()).collect();
    assert_eq!(patterns, [".com.partner.*", ".*"]);
    assert_eq!(stage.call("DELETE", &one, None).await.0, 204);
    assert_eq!(stage.call("DELETE", &one, None).await.0, 404);
    stage.stop().await;
}

#[tokio::test]
async fn every_faulty_field_is_named() {
    let (_directory, stage) = stage().await;
    let body = json!({
        "pattern": "com.partner", "next_hop": "no host", "port": 70_000, "type": "both",
        "protocol": "sctp", "priority": 0, "weight": "many", "in_service": "yes",
        "description": "x".repeat(256), "colour": "blue",
    });
    let (status, problem) = stage.call("POST", ROUTES, Some(body)).await;
    assert_eq!((status, &problem["status"]), (422, &json!(422)));
    let mut fields = faulty(&problem);
    fields.sort_unstable();
    let expected = [
        "",
        "description",
        "in_service",
        "next_hop",
        "pattern",
        "port",
        "priority",
        "protocol",
        "type",
        "weight",
    ];
    assert_eq!(fields, expected, "{problem}");
    // A next hop that is our own listener would be a circle.
    let circle = json!({ "pattern": ".com.a", "next_hop": "127.0.0.1", "port": 5060 });
    let (_, problem) = stage.call("POST", ROUTES, Some(circle)).await;
    assert_eq!(faulty(&problem), ["next_hop"]);
    // And so is one to which nobody can send, whichever port.
    for next_hop in ["999.1.1.1", "127.1", "0.0.0.0", "[::]", "::", "239.0.0.1", "255.255.255.255"]
    {
        let wish = json!({ "pattern": ".com.a", "next_hop": next_hop, "port": 0 });
        let (status, problem) = stage.call("POST", ROUTES, Some(wish)).await;
        assert_eq!((status, faulty(&problem)), (422, vec!["next_hop"]), "{next_hop}");
        let change = json!({ "next_hop": next_hop });
        let (status, problem) = stage.call("PATCH", "/api/v1/static-routes/.*", Some(change)).await;
        assert_eq!(status, 422, "{next_hop}");
        assert!(faulty(&problem).contains(&"next_hop"), "{next_hop}: {problem}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn sip_domains_are_configured_edited_paged_and_removed() {
    let (_directory, stage) = stage().await;
    for name in ["c.example", "a.example", "b.example"] {
        let body = json!({ "domain": name, "description": "by hand" });
        assert_eq!(stage.call("POST", "/api/v1/sip-domains", Some(body)).await.0, 201);
    }
    let again = json!({ "domain": "A.example." });
    assert_eq!(stage.call("POST", "/api/v1/sip-domains", Some(again)).await.0, 200);
    let (_, page) = stage.get("/api/v1/sip-domains?limit=2").await;
    let names = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap();
        items.iter().map(|row| row["domain"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(
        (names(&page), &page["total"]),
        (vec!["a.example".into(), "b.example".into()], &json!(3))
    );
    let cursor = page["next_cursor"].as_str().unwrap();
    let (_, page) = stage.get(&format!("/api/v1/sip-domains?limit=2&cursor={cursor}")).await;
    assert_eq!((names(&page), &page["next_cursor"]), (vec!["c.example".into()], &Value::Null));
    let edit = json!({ "description": "edited" });
    let (_, row) = stage.call("PATCH", "/api/v1/sip-domains/c.example", Some(edit)).await;
    assert_eq!((&row["description"], &row["origin"]), (&json!("edited"), &json!("configured")));
    let (_, explanation) = stage.get("/api/v1/explain/c.example?direction=inbound").await;
    assert_eq!(explanation["decision"], "configured");
    assert_eq!(explanation["steps"][0]["step"], 1);
    assert_eq!(stage.call("DELETE", "/api/v1/sip-domains/c.example", None).await.0, 204);
    assert_eq!(stage.get("/api/v1/sip-domains/c.example").await.0, 404);
    // A system of the operator's own, below a domain of his.
    let below = json!({ "domain": "sub.corp.example" });
    assert_eq!(stage.call("POST", "/api/v1/sip-domains", Some(below)).await.0, 201);
    for name in ["corp.example", "example", "1.2", "192.0.2.1", "a b.example"] {
        let body = json!({ "domain": name });
        let (status, problem) = stage.call("POST", "/api/v1/sip-domains", Some(body)).await;
        assert_eq!((status, faulty(&problem)), (422, vec!["domain"]), "{name}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn blocked_and_pinned_domains_keep_their_note() {
    let (_directory, stage) = stage().await;
    for (list, name) in
        [("/api/v1/blocked-domains", "*.bad.example"), ("/api/v1/xmpp-domains", "x.example")]
    {
        let body = json!({ "domain": name, "note": "why" });
        let (status, item) = stage.call("POST", list, Some(body.clone())).await;
        assert_eq!((status, &item), (201, &body));
        assert_eq!(stage.get(list).await.1["items"], json!([body]));
        let one = format!("{list}/{}", name.replace('*', "%2A"));
        assert_eq!(stage.call("DELETE", &one, None).await.0, 204);
        assert_eq!(stage.call("DELETE", &one, None).await.0, 404);
        assert_eq!(stage.get(list).await.1["items"], json!([]));
        let ours = json!({ "domain": "corp.example" });
        assert_eq!(stage.call("POST", list, Some(ours)).await.0, 422);
    }
    let (_, audit) = stage.get("/api/v1/audit?limit=4").await;
    let actions: Vec<&str> =
        audit["items"].as_array().unwrap().iter().filter_map(|e| e["action"].as_str()).collect();
    assert_eq!(actions, ["unpin domain", "pin domain", "unblock domain", "block domain"]);
    let pinned = &audit["items"][1];
    assert_eq!((&pinned["who"], &pinned["after"]["note"]), (&json!("token:local"), &json!("why")));
    let cursor = audit["next_cursor"].as_str();
    assert_eq!(cursor, None, "there are no more");
    stage.stop().await;
}

#[tokio::test]
async fn whatever_is_refused_is_a_problem_document() {
    let (_directory, stage) = stage().await;
    let large = format!("{{\"description\":\"{}\"}}", "x".repeat(70_000));
    for (method, path, content_type, body, status) in [
        ("GET", "/api/v1/nothing", "application/json", "", "404"),
        ("DELETE", "/api/v1/nodes", "application/json", "", "405"),
        ("POST", ROUTES, "text/plain", "{}", "415"),
        ("POST", ROUTES, "application/json", "{", "400"),
        ("POST", ROUTES, "application/json", "[]", "422"),
        ("POST", ROUTES, "application/json", large.as_str(), "413"),
        ("GET", "/api/v1/flows?limit=none", "application/json", "", "422"),
        ("GET", "/api/v1/explain/-", "application/json", "", "422"),
        ("GET", "/api/v1/static-routes/%FF", "application/json", "", "400"),
    ] {
        let (head, body) = stage.raw(method, path, content_type, body).await;
        let head = head.to_lowercase();
        assert_eq!(head.split(' ').nth(1), Some(status), "{method} {path}: {head}\n{body}");
        assert!(head.contains("content-type: application/problem+json"), "{path}: {head}");
        let problem: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(problem["status"].to_string(), status);
    }
    let (_, document) = stage.get("/api/v1/openapi.json").await;
    assert_eq!(document["openapi"], "3.1.0");
    stage.stop().await;
}
