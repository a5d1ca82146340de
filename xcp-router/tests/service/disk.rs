//! The store's disk is full.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::stage::Stage;

const DOMAINS: &str = "/api/v1/sip-domains";

/// A small file system in the place of this folder; only root may mount one.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(folder: &'a Path) -> Self {
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]).arg(folder).output();
        let mounted = mounted.unwrap();
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Self(folder)
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_where_people_look_until_there_is_room() {
    let directory = tempfile::tempdir().unwrap();
    let disk = SmallDisk::mount(directory.path());
    let stage = Stage::start(disk.0).await;
    assert_eq!(stage.get("/healthz").await.1["status"], "ok");
    let ballast = disk.0.join("ballast");
    let enter = |number: usize| {
        let domain = json!({ "domain": format!("n{number}.example"), "description": "x" });
        stage.call("POST", DOMAINS, Some(domain))
    };
    assert_eq!(enter(0).await.0, 201);
    let _ = std::fs::write(&ballast, vec![0; 8 << 20]);
    // When one domain after the other is entered
    let mut entered = 1;
    let problem = loop {
        match enter(entered).await {
            (201, _) => entered += 1,
            refused => break refused,
        }
        assert!(entered < 20_000, "never full");
    };
    // Then the one that finds no room is refused with the cause, and health tells of it
    assert_eq!((problem.0, &problem.1["status"]), (507, &json!(507)), "{problem:?}");
    assert!(problem.1["detail"].as_str().unwrap().contains("No space left"), "{problem:?}");
    let degraded =
        async { while stage.get("/healthz").await.1["problems"]["store changes"].is_null() {} };
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, degraded).await.expect("degraded");
    let listed = stage.get(&format!("{DOMAINS}/n0.example")).await;
    assert_eq!(listed.0, 200, "it can be read: {listed:?}");
    // And with room again all is well, by itself
    std::fs::remove_file(ballast).unwrap();
    let well = async { while stage.get("/healthz").await.1["status"] != "ok" {} };
    tokio::time::timeout(limit, well).await.expect("well again");
    assert_eq!(enter(entered).await.0, 201);
    let last = stage.get(&format!("{DOMAINS}/n{}.example", entered - 1)).await;
    assert_eq!(last.0, 200, "what was confirmed is there: {last:?}");
    stage.stop().await;
}
