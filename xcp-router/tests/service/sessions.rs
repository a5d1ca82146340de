//! What ends a session, and what ends with it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use openfed_node::settings::StoreUrl;
use openfed_node::store::{self, Session, Store};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use crate::browser::{Browser, add_user, status};
use crate::stage::Stage;

const NODES: &str = "/api/v1/nodes";
const BACKUP: &str = "/api/v1/backup";
/// Whatever must come has come by then.
const LIMIT: Duration = Duration::from_secs(10);

/// The store of a router that has ended: it has let go of it.
async fn open(directory: &Path) -> Arc<dyn Store> {
    store::open(&StoreUrl::Embedded(directory.join("store")), None).await.unwrap()
}

async fn set_password(stage: &Stage, name: &str, password: &str) {
    let body = json!({ "password": password });
    let (status, told) = stage.call("PATCH", &format!("/api/v1/users/{name}"), Some(body)).await;
    assert_eq!(status, 200, "{told}");
}

async fn backup(stage: &Stage) -> String {
    stage.raw("GET", BACKUP, "", "").await.1
}

async fn restore(stage: &Stage, text: &str) {
    let (head, told) = stage.raw("PUT", BACKUP, "application/x-ndjson", text).await;
    assert_eq!(status(&head), 200, "{told}");
}

#[tokio::test]
async fn a_session_that_was_idle_for_half_an_hour_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let password = add_user(&stage, "ada", "administrator").await;
    add_user(&stage, "bob", "administrator").await;
    let ada = Browser::log_in(&stage, "ada", password).await.unwrap();
    let bob = Browser::log_in(&stage, "bob", password).await.unwrap();
    stage.stop().await;

    let store = open(directory.path()).await;
    for session in store.all::<Session>().await.unwrap() {
        let idle = if session.user == "ada" { 30 * 60 } else { 29 * 60 };
        let (seen, version) = (session.seen - idle, session.version + 1);
        store.put(&Session { seen, version, ..session }).await.unwrap();
    }
    drop(store);
    let stage = Stage::start(directory.path()).await;
    assert_eq!(ada.get(&stage, NODES).await.0, 401);
    assert_eq!(bob.get(&stage, NODES).await.0, 200);
    stage.stop().await;

    // Who is seen goes on from then.
    let sessions = open(directory.path()).await.all::<Session>().await.unwrap();
    let bobs = sessions.iter().find(|session| session.user == "bob").unwrap();
    assert!(bobs.seen >= bobs.created, "seen {}, created {}", bobs.seen, bobs.created);
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let password = add_user(&stage, "ada", "administrator").await;
    let ada = Browser::log_in(&stage, "ada", password).await.unwrap();
    let change = json!({ "old": "wrong password", "new": "another long password" });
    let path = "/api/v1/session/password";
    assert_eq!(ada.call(&stage, "PUT", path, change).await.0, 401);
    assert_eq!(ada.get(&stage, NODES).await.0, 200);
    assert!(Browser::log_in(&stage, "ada", "another long password").await.is_err());
    stage.stop().await;
}

#[tokio::test]
async fn nobody_has_more_than_twenty_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let password = add_user(&stage, "ada", "administrator").await;
    let first = Browser::log_in(&stage, "ada", password).await.unwrap();
    let mut last = first.clone();
    for _ in 0..20 {
        last = Browser::log_in(&stage, "ada", password).await.unwrap();
    }
    assert_eq!(last.get(&stage, NODES).await.0, 200);
    stage.stop().await;
    let sessions = open(directory.path()).await.all::<Session>().await.unwrap();
    assert_eq!(sessions.len(), 20);
}

#[tokio::test]
async fn a_browser_that_logs_out_is_told_to_forget_its_cookie() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let password = add_user(&stage, "ada", "viewer").await;
    let ada = Browser::log_in(&stage, "ada", password).await.unwrap();
    let lines = format!("Cookie: {}\r\nX-Csrf-Token: {}\r\n", ada.cookie, ada.csrf);
    let (head, _) = stage.plain("DELETE", "/api/v1/session", &lines, "").await;
    assert!(head.contains("set-cookie: openfed_session=; Path=/; HttpOnly;"), "{head}");
    assert!(head.contains("Max-Age=0"), "{head}");
    stage.stop().await;
}

#[tokio::test]
async fn a_restored_user_with_another_password_has_no_session() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let password = add_user(&stage, "ada", "administrator").await;
    let before = backup(&stage).await;
    set_password(&stage, "ada", "another long password").await;
    let ada = Browser::log_in(&stage, "ada", "another long password").await.unwrap();
    restore(&stage, &before).await;
    let again = async {
        loop {
            if let Ok(again) = Browser::log_in(&stage, "ada", password).await {
                return again;
            }
        }
    };
    let again = tokio::time::timeout(LIMIT, again).await.unwrap();
    assert_eq!(again.get(&stage, NODES).await.0, 200);
    assert_eq!(ada.get(&stage, NODES).await.0, 401);
    stage.stop().await;
}

#[tokio::test]
async fn a_session_that_a_new_password_has_ended_does_not_come_back_with_the_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let password = add_user(&stage, "ada", "administrator").await;
    let ada = Browser::log_in(&stage, "ada", password).await.unwrap();
    let before = backup(&stage).await;
    set_password(&stage, "ada", "another long password").await;
    assert_eq!(ada.get(&stage, NODES).await.0, 401);
    restore(&stage, &before).await;
    let settled = async {
        while stage.get("/api/v1/users").await.1["items"][0]["one_time"] != json!(false) {}
    };
    tokio::time::timeout(LIMIT, settled).await.unwrap();
    assert_eq!(ada.get(&stage, NODES).await.0, 401);
    stage.stop().await;
}

#[tokio::test]
async fn what_a_session_watches_ends_with_it() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let password = add_user(&stage, "ada", "administrator").await;
    let ada = Browser::log_in(&stage, "ada", password).await.unwrap();
    let cookie = format!("Cookie: {}\r\n", ada.cookie);
    let (status, mut stream) = stage.watch("/api/v1/flows/stream", &cookie).await;
    assert_eq!(status, 200);
    // As soon as there is a new password, and not only when the store is looked at again.
    set_password(&stage, "ada", "another long password").await;
    let ended = tokio::time::timeout(LIMIT, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the stream goes on");
    let (status, told) = ada.call(&stage, "GET", "/api/v1/flows/stream", Value::Null).await;
    assert_eq!(status, 401, "{told}");
    stage.stop().await;
}
