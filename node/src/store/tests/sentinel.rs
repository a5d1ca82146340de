//! Redis Sentinel as it is: three sentinels, a primary and two replicas.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::place::{Directory, RedisServer, free_port};
use super::*;

/// A failover takes a second until it is noticed, and the election of who does it.
const PATIENCE: Duration = Duration::from_secs(30);

struct Sentinels {
    servers: Vec<RedisServer>,
    sentinels: Vec<Child>,
    ports: Vec<u16>,
    _directory: Directory,
}

impl Sentinels {
    /// Returns when all know each other and the replicas.
    async fn start() -> Self {
        let servers = vec![RedisServer::start(), RedisServer::start(), RedisServer::start()];
        let primary = servers[0].port();
        for replica in &servers[1..] {
            replica.run(&format!("REPLICAOF 127.0.0.1 {primary}")).await;
        }
        let directory = Directory::new();
        std::fs::create_dir_all(&directory.0).expect("a directory");
        let ports: Vec<u16> = (0..3).map(|_| free_port()).collect();
        let sentinels = ports.iter().map(|port| {
            let file = directory.0.join(format!("{port}.conf"));
            std::fs::write(&file, settings(*port, primary)).expect("written");
            spawn(file)
        });
        let sentinels = sentinels.collect();
        let all = Self { servers, sentinels, ports, _directory: directory };
        for port in &all.ports {
            all.wait_for(*port, &[("num-slaves", "2"), ("num-other-sentinels", "2")]).await;
        }
        all
    }

    fn url(&self) -> String {
        let hosts: Vec<_> = self.ports.iter().map(|port| format!("127.0.0.1:{port}")).collect();
        format!("redis+sentinel://{}/main/0", hosts.join(","))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(RedisStore::new(&self.url(), Seal::none()).expect("a usable URL"))
    }

    async fn wait_for(&self, port: u16, expected: &[(&str, &str)]) {
        let limit = Instant::now() + PATIENCE;
        while Instant::now() < limit {
            let about = about(port).await.unwrap_or_default();
            let is = |(name, value): &(&str, &str)| about.get(*name).is_some_and(|it| it == value);
            if expected.iter().all(is) {
                return;
            }
        }
        panic!("{port}: no {expected:?}");
    }
}

impl Drop for Sentinels {
    fn drop(&mut self) {
        for sentinel in &mut self.sentinels {
            let _ = sentinel.kill();
            let _ = sentinel.wait();
        }
    }
}

fn settings(port: u16, primary: u16) -> String {
    format!(
        "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {primary} 2\n\
         sentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 6000\n"
    )
}

fn spawn(settings: PathBuf) -> Child {
    let mut sentinel = Command::new("redis-sentinel");
    sentinel.arg(settings).stdout(Stdio::null()).spawn().expect("redis-sentinel is installed")
}

/// What a sentinel knows of the primary.
async fn about(port: u16) -> ::redis::RedisResult<std::collections::HashMap<String, String>> {
    let client = ::redis::Client::open(format!("redis://127.0.0.1:{port}/"))?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    ::redis::cmd("SENTINEL").arg("MASTER").arg("main").query_async(&mut connection).await
}

/// Enters one row after the other until the store has answered, was away, and has answered again;
/// returns those that it has confirmed.
async fn enter_through_a_failover(store: &dyn Store, fail: impl FnOnce()) -> Vec<Domain> {
    let (mut confirmed, mut fail, mut was_away) = (Vec::new(), Some(fail), false);
    let limit = Instant::now() + PATIENCE;
    for number in 0.. {
        assert!(Instant::now() < limit, "no failover, {} confirmed", confirmed.len());
        let name = domain(&format!("n{number}.example"));
        match store.put_configured(&name, "", 1).await {
            Ok(_) if was_away => break,
            Ok(_) => confirmed.push(name),
            Err(error) => {
                assert!(error.is_temporary(), "{error}");
                was_away = fail.is_none();
                tokio::task::yield_now().await;
            }
        }
        if number == 300 {
            fail.take().expect("once")();
        }
    }
    confirmed
}

/// What a reader has been told by the time that it hears of `last`.
#[derive(Default)]
struct Told {
    /// As it holds them then.
    rows: BTreeSet<String>,
    /// All of which it has ever heard.
    ever: BTreeSet<String>,
    went_back: bool,
}

async fn listen(mut events: tokio::sync::mpsc::Receiver<StoreEvent>, last: &str) -> Told {
    let mut told = Told::default();
    while !told.rows.contains(last) {
        match events.recv().await.expect("news") {
            StoreEvent::Snapshot(all) => {
                told.rows = all.rows.iter().map(|(name, _)| name.to_string()).collect();
                told.went_back |= all.raised;
            }
            StoreEvent::Changes { changes, .. } => {
                told.rows.extend(changes.iter().filter_map(|change| match change {
                    Change::Row(name, _) => Some(name.to_string()),
                    _ => None,
                }));
            }
            StoreEvent::Up | StoreEvent::Down(_) => {}
        }
        told.ever.extend(told.rows.iter().cloned());
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_is_killed_is_replaced_and_nothing_is_lost_in_silence() {
    let mut all = Sentinels::start().await;
    let store = all.store();
    store.put_configured(&domain("first.example"), "", 1).await.expect("configured");
    let mut primary = all.servers.remove(0);
    let reader = tokio::spawn(listen(follow(store.clone()), "last.example"));
    let confirmed = enter_through_a_failover(store.as_ref(), || primary.kill()).await;
    assert!(confirmed.len() >= 300);
    store.put_configured(&domain("last.example"), "", 1).await.expect("configured");
    let told = tokio::time::timeout(PATIENCE, reader).await.expect("in force").expect("told");
    // The reader holds what the store has.
    let now = store.snapshot().await.expect("a snapshot");
    let rows: BTreeSet<_> = now.rows.iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(told.rows, rows);
    // Only what the replica had not got is missing: the last ones, and if anybody knew of them,
    // it was said.
    let lost: Vec<_> = confirmed.iter().map(ToString::to_string).collect();
    let kept = lost.iter().take_while(|name| rows.contains(*name)).count();
    let lost = &lost[kept..];
    assert!(lost.iter().all(|name| !rows.contains(name)), "a hole");
    let in_silence = lost.iter().any(|name| told.ever.contains(name)) && !told.went_back;
    assert!(!in_silence, "{} lost", lost.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_primary_that_hangs_is_left_and_not_believed_when_it_wakes() {
    let all = Sentinels::start().await;
    let store = all.store();
    store.put_configured(&domain("first.example"), "", 1).await.expect("configured");
    enter_through_a_failover(store.as_ref(), || all.servers[0].signal("-STOP")).await;
    let version = store.put_configured(&domain("last.example"), "", 1).await.expect("configured");
    all.servers[0].signal("-CONT");
    // It becomes a replica of the new one, and no change goes to it.
    all.servers[0].wait_for("openfed:version", &version.to_string()).await;
    assert!(row(store.as_ref(), "last.example").await.is_some());
    store.put_configured(&domain("later.example"), "", 1).await.expect("configured");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sentinel_is_enough_to_be_asked_and_one_without_the_name_is_an_error() {
    let mut all = Sentinels::start().await;
    let mut lost = all.sentinels.split_off(1);
    for sentinel in &mut lost {
        sentinel.kill().expect("killed");
        sentinel.wait().expect("ended");
    }
    all.store().put_configured(&domain("a.example"), "", 1).await.expect("configured");
    let url = all.url().replace("/main/", "/other/");
    let store = RedisStore::new(&url, Seal::none()).expect("a usable URL");
    let error = store.snapshot().await.expect_err("no such name");
    assert!(error.is_temporary() && error.to_string().contains("No such master"), "{error}");
}
