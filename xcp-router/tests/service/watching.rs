//! Pages of the console that watch for changes.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;

use crate::stage::Stage;

/// Whatever must come has come by then.
const LIMIT: Duration = Duration::from_secs(10);

async fn watch(stage: &Stage) -> (u16, BufReader<TcpStream>) {
    stage.watch("/events", &format!("Authorization: Bearer {}\r\n", stage.token)).await
}

/// The tables that have changed, by the next word of them.
async fn told(page: &mut BufReader<TcpStream>) -> String {
    let told = async {
        loop {
            let mut line = String::new();
            assert_ne!(page.read_line(&mut line).await.unwrap(), 0, "the page is told no more");
            match line.trim_end().strip_prefix("data: ") {
                None | Some("tick") => {}
                Some(tables) => return tables.to_owned(),
            }
        }
    };
    tokio::time::timeout(LIMIT, told).await.unwrap()
}

#[tokio::test]
async fn a_page_is_told_which_table_has_changed() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let (status, mut page) = watch(&stage).await;
    assert_eq!(status, 200);
    let domain = json!({ "domain": "a.example" });
    let route = json!({ "pattern": ".com.a", "next_hop": "192.0.2.1" });
    for (path, body, table) in [
        ("sip-domains", domain.clone(), "rows"),
        ("static-routes", route, "routes"),
        ("blocked-domains", domain.clone(), "blocked"),
        ("xmpp-domains", domain, "pinned"),
    ] {
        let (status, _) = stage.call("POST", &format!("/api/v1/{path}"), Some(body)).await;
        assert_eq!(status, 201, "{path}");
        assert_eq!(told(&mut page).await, table);
    }
    stage.stop().await;
}

#[tokio::test]
async fn no_more_than_256_pages_watch_and_one_that_goes_makes_room() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let mut pages = Vec::new();
    for _ in 0..256 {
        let (status, page) = watch(&stage).await;
        assert_eq!(status, 200);
        pages.push(page);
    }
    assert_eq!(watch(&stage).await.0, 503);
    pages.pop();
    let room = async { while watch(&stage).await.0 != 200 {} };
    tokio::time::timeout(LIMIT, room).await.unwrap();
    stage.stop().await;
}
