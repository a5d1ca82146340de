//! Lost updates, idempotent PUT, pages, and all state in one file.

use serde_json::{Value, json};

use crate::stage::Stage;

const ROUTES: &str = "/api/v1/static-routes";
const JSON: &str = "Content-Type: application/json\r\n";

async fn stage() -> (tempfile::TempDir, Stage) {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    (directory, stage)
}

/// Status, entity tag and body of the answer to a request with these lines in its head.
async fn with(
    stage: &Stage,
    (method, path): (&str, &str),
    lines: &str,
    body: Value,
) -> (u16, String, Value) {
    let lines = format!("{JSON}Authorization: Bearer {}\r\n{lines}", stage.token);
    let body = if body.is_null() { String::new() } else { body.to_string() };
    let (head, text) = stage.plain(method, path, &lines, &body).await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let tag = head.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap_or_default();
    (status, tag.to_owned(), serde_json::from_str(&text).unwrap_or(Value::Null))
}

#[tokio::test]
async fn the_second_of_two_who_edit_one_route_is_told() {
    let (_directory, stage) = stage().await;
    let one = format!("{ROUTES}/.*");
    let (_, tag, _) = with(&stage, ("GET", &one), "", Value::Null).await;
    let edit = |text: &str| json!({ "description": text });
    let matching = format!("If-Match: {tag}\r\n");
    let (status, next, _) = with(&stage, ("PATCH", &one), &matching, edit("first")).await;
    assert_eq!(status, 200);
    assert_ne!(next, tag);
    for method in ["PATCH", "PUT"] {
        let (status, _, told) = with(&stage, (method, &one), &matching, edit("second")).await;
        assert_eq!(
            (status, &told["title"]),
            (412, &json!("Somebody else changed it in the meantime"))
        );
    }
    assert_eq!(stage.get(&one).await.1["description"], "first");
    // A whole is not replaced blindly; but on purpose it is.
    assert_eq!(with(&stage, ("PUT", &one), "", edit("blind")).await.0, 428);
    assert_eq!(with(&stage, ("PUT", &one), "If-Match: *\r\n", edit("on purpose")).await.0, 200);
    // The version in the body is as good.
    let stale = json!({ "description": "x", "version": 1 });
    assert_eq!(with(&stage, ("PUT", &one), "", stale).await.0, 409);
    let route = json!({ "pattern": ".com.a", "next_hop": "192.0.2.1" });
    let (_, tag, route) = with(&stage, ("POST", ROUTES), "", route).await;
    let path = format!("{ROUTES}/{}", route["id"]);
    assert_eq!(with(&stage, ("DELETE", &path), "If-Match: \"9\"\r\n", Value::Null).await.0, 412);
    let matching = format!("If-Match: {tag}\r\n");
    assert_eq!(with(&stage, ("DELETE", &path), &matching, Value::Null).await.0, 204);
    stage.stop().await;
}

#[tokio::test]
async fn putting_a_domain_twice_changes_nothing() {
    let (_directory, stage) = stage().await;
    let one = "/api/v1/sip-domains/a.example";
    let body = || json!({ "description": "a peer" });
    let (status, tag, _) = with(&stage, ("PUT", one), "If-None-Match: *\r\n", body()).await;
    assert_eq!(status, 201);
    let (_, audit) = stage.get("/api/v1/audit").await;
    let (status, again, _) = with(&stage, ("PUT", one), "", body()).await;
    assert_eq!((status, &again), (200, &tag));
    assert_eq!(stage.get("/api/v1/audit").await.1, audit, "nothing was changed");
    assert_eq!(with(&stage, ("PUT", one), "If-None-Match: *\r\n", body()).await.0, 412);
    let other = json!({ "description": "other" });
    let matching = format!("If-Match: {tag}\r\n");
    let (status, changed, _) = with(&stage, ("PUT", one), &matching, other.clone()).await;
    assert_eq!(status, 200);
    assert_ne!(changed, tag);
    assert_eq!(with(&stage, ("PATCH", one), &matching, other).await.0, 412);
    assert_eq!(with(&stage, ("DELETE", one), &matching, Value::Null).await.0, 412);
    let missing = "/api/v1/sip-domains/b.example";
    assert_eq!(with(&stage, ("PUT", missing), "If-Match: *\r\n", body()).await.0, 412);
    let local = ("PUT", "/api/v1/sip-domains/corp.example");
    assert_eq!(with(&stage, local, "", body()).await.0, 422);
    stage.stop().await;
}

#[tokio::test]
async fn lists_have_tags_and_entries_are_put() {
    let (_directory, stage) = stage().await;
    for list in ["/api/v1/blocked-domains", "/api/v1/xmpp-domains"] {
        let (_, empty, _) = with(&stage, ("GET", list), "", Value::Null).await;
        let one = format!("{list}/a.example");
        let note = || json!({ "note": "why" });
        assert_eq!(with(&stage, ("PUT", &one), "", note()).await.0, 201);
        assert_eq!(with(&stage, ("PUT", &one), "", note()).await.0, 200);
        let (status, _, item) = with(&stage, ("PUT", &one), "", json!({ "note": "else" })).await;
        assert_eq!((status, &item["note"]), (200, &json!("else")));
        assert_eq!(with(&stage, ("PUT", &one), "If-None-Match: *\r\n", note()).await.0, 412);
        let (_, tag, page) = with(&stage, ("GET", list), "", Value::Null).await;
        assert_ne!(tag, empty);
        assert_eq!(page["items"], json!([{ "domain": "a.example", "note": "else" }]));
        let known = format!("If-None-Match: {tag}\r\n");
        assert_eq!(with(&stage, ("GET", list), &known, Value::Null).await.0, 304);
        assert_eq!(with(&stage, ("DELETE", &one), "If-Match: \"x\"\r\n", Value::Null).await.0, 412);
        assert_eq!(with(&stage, ("DELETE", &one), "", Value::Null).await.0, 204);
    }
    stage.stop().await;
}

#[tokio::test]
async fn every_list_comes_in_pages() {
    let (_directory, stage) = stage().await;
    for number in 1..=5 {
        let body = json!({ "pattern": format!(".com.a{number}"), "next_hop": "192.0.2.1" });
        assert_eq!(stage.call("POST", ROUTES, Some(body)).await.0, 201);
        let body = json!({ "domain": format!("a{number}.example") });
        assert_eq!(stage.call("POST", "/api/v1/blocked-domains", Some(body)).await.0, 201);
    }
    for (list, total) in [(ROUTES, 6), ("/api/v1/blocked-domains", 5), ("/api/v1/audit", 10)] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let (status, page) = stage.get(&format!("{list}?limit=2{cursor}")).await;
            assert_eq!(status, 200, "{page}");
            let items = page["items"].as_array().unwrap();
            assert!((1..=2).contains(&items.len()), "{page}");
            seen.extend(items.iter().map(Value::to_string));
            let Some(next) = page["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(seen.len(), total, "{list}");
        let (_, whole) = stage.get(list).await;
        let whole: Vec<_> =
            whole["items"].as_array().unwrap().iter().map(Value::to_string).collect();
        assert_eq!(seen, whole, "{list}");
        let (status, _) = stage.get(&format!("{list}?limit=1001")).await;
        assert_eq!(status, 422, "{list}");
    }
    stage.stop().await;
}

/// All state, as lines, without what differs from one backup to the next.
async fn backup(stage: &Stage) -> Vec<Value> {
    let (head, text) = stage.raw("GET", "/api/v1/backup", "", "").await;
    assert!(head.contains("application/x-ndjson"), "{head}");
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[0]["at"].take();
    for line in &mut lines {
        for counted in ["id", "version"] {
            line.as_object_mut().unwrap().remove(counted);
        }
    }
    lines
}

async fn restore(stage: &Stage, text: &str) -> (u16, Value) {
    let (head, text) = stage.raw("PUT", "/api/v1/backup", "application/x-ndjson", text).await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(&text).unwrap())
}

async fn furnish(stage: &Stage) {
    stage.open().await;
    let route = json!({
        "pattern": ".com.partner.*", "next_hop": "192.0.2.7", "port": 5061, "protocol": "tls",
        "credentials": { "username": "us", "password": "kept secret" },
    });
    let user = json!({ "name": "ada", "role": "administrator", "password": "correct horse" });
    for (path, body) in [
        ("static-routes", route),
        ("sip-domains", json!({ "domain": "a.example", "description": "a \"peer\"" })),
        ("sip-domains", json!({ "domain": "b.example" })),
        ("blocked-domains", json!({ "domain": "*.bad.example", "note": "why" })),
        ("xmpp-domains", json!({ "domain": "x.example" })),
        ("users", user),
        ("tokens", json!({ "name": "ci", "scopes": ["read"] })),
    ] {
        let path = format!("/api/v1/{path}");
        let (status, told) = stage.call("POST", &path, Some(body)).await;
        assert_eq!(status, 201, "{told}");
    }
}

#[tokio::test]
async fn a_backup_brings_all_state_to_another_place() {
    let (_directory, one) = stage().await;
    furnish(&one).await;
    let (_, text) = one.raw("GET", "/api/v1/backup", "", "").await;
    let state = backup(&one).await;
    let kinds: Vec<&str> = state.iter().filter_map(|line| line["kind"].as_str()).collect();
    let expected = [
        "openfed-backup",
        "static-route",
        "static-route",
        "blocked-domain",
        "pinned-domain",
        "user",
        "token",
        "sip-domain",
        "sip-domain",
        "end",
    ];
    assert_eq!(kinds, expected);
    assert!(text.contains("kept secret") && text.contains("$argon2id$"), "nothing is left out");

    let (_directory, two) = stage().await;
    for (path, body) in [
        ("static-routes", json!({ "pattern": ".com.old", "next_hop": "192.0.2.9" })),
        ("sip-domains", json!({ "domain": "old.example" })),
        ("blocked-domains", json!({ "domain": "old.example" })),
        ("users", json!({ "name": "old", "password": "correct horse" })),
    ] {
        assert_eq!(two.call("POST", &format!("/api/v1/{path}"), Some(body)).await.0, 201);
    }
    let (status, told) = restore(&two, &text).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!((&told["sip_domains"], &told["sip_domains_removed"]), (&json!(2), &json!(1)));
    let settled = async { while backup(&two).await != state {} };
    let settled = tokio::time::timeout(std::time::Duration::from_secs(5), settled).await;
    assert!(settled.is_ok(), "{:#?}\n{state:#?}", backup(&two).await);
    // Twice is as good as once, and the password is good there, too.
    assert_eq!(restore(&two, &text).await.0, 200);
    assert_eq!(backup(&two).await, state);
    let login = json!({ "name": "ada", "password": "correct horse" }).to_string();
    let (head, _) = two.plain("POST", "/api/v1/session", JSON, &login).await;
    assert!(head.contains(" 201 "), "{head}");
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn what_is_no_whole_backup_that_we_understand_changes_nothing_but_domains() {
    let (_directory, stage) = stage().await;
    furnish(&stage).await;
    let (_, text) = stage.raw("GET", "/api/v1/backup", "", "").await;
    let before = backup(&stage).await;
    let lines: Vec<&str> = text.lines().collect();
    let without_end = lines[..lines.len() - 1].join("\n");
    let wrong_end = text.replace("\"lines\":10", "\"lines\":9");
    let newer = text.replace("\"layout\":2", "\"layout\":3");
    let newer_form = text.replace("\"form\":1", "\"form\":2");
    let after_end = format!("{text}{}\n", lines[1]);
    let ours = text.replace("\"domain\":\"b.example\"", "\"domain\":\"corp.example\"");
    let odd_route = text.replace("\"port\":5061", "\"port\":70000");
    let nowhere = text.replace("\"192.0.2.7\"", "\"0.0.0.0\"");
    for (wrong, said) in [
        ("", "not whole"),
        ("nonsense\n", "line 1"),
        (without_end.as_str(), "last line is missing"),
        (wrong_end.as_str(), "says that there are 9 lines"),
        (newer.as_str(), "layouts up to 2: update it"),
        (newer_form.as_str(), "forms up to 1"),
        (after_end.as_str(), "comes after the end"),
        (ours.as_str(), "a domain of our own"),
        (odd_route.as_str(), "port: must be a whole number"),
        (nowhere.as_str(), "next_hop: 0.0.0.0 and [::] mean any address"),
    ] {
        let (status, told) = restore(&stage, wrong).await;
        assert_eq!(status, 422, "{said}: {told}");
        assert!(told.to_string().contains(said), "{said}: {told}");
        assert_eq!(backup(&stage).await, before, "{said}");
    }
    // One of layout 1 knew no accounts: those that there are stay.
    let older: Vec<&str> = lines
        .iter()
        .filter(|line| !line.contains("\"kind\":\"user\"") && !line.contains("\"kind\":\"token\""))
        .copied()
        .collect();
    let older = older.join("\n").replace("\"layout\":2", "\"layout\":1");
    let older = older.replace("\"lines\":10", "\"lines\":8");
    let (status, told) = restore(&stage, &older).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(backup(&stage).await, before);
    stage.stop().await;
}

#[tokio::test]
async fn a_backup_is_audited_and_taken_in_as_one_only() {
    let (_directory, stage) = stage().await;
    let (_, text) = stage.raw("GET", "/api/v1/backup", "", "").await;
    for kind in ["text/plain", "application/x-www-form-urlencoded", "application/json"] {
        let (head, _) = stage.raw("PUT", "/api/v1/backup", kind, &text).await;
        assert!(head.starts_with("HTTP/1.0 415"), "a web page could send that: {kind}: {head}");
    }
    assert_eq!(restore(&stage, &text).await.0, 200);
    let (_, audit) = stage.get("/api/v1/audit").await;
    let items = audit["items"].as_array().unwrap().iter();
    let told: Vec<_> = items.map(|item| (item["action"].as_str(), item["who"].as_str())).collect();
    let local = Some("token:local");
    assert_eq!(told, [(Some("restore backup"), local), (Some("take backup"), local)]);
    stage.stop().await;
}

#[tokio::test]
async fn a_backup_fills_no_memory() {
    let (_directory, stage) = stage().await;
    let (_, text) = stage.raw("GET", "/api/v1/backup", "", "").await;
    let first = text.lines().next().unwrap();
    let line = json!({ "kind": "pinned-domain", "domain": "a.example" }).to_string() + "\n";
    let (status, told) = restore(&stage, &format!("{first}\n{}", line.repeat(100_001))).await;
    assert_eq!(status, 422, "{told}");
    assert!(told.to_string().contains("more than 100000"), "{told}");
    stage.stop().await;
}
