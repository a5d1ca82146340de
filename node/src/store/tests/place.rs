//! Where a scene's store lives: a Redis server of its own, or a directory of its own.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use crate::store::{EmbeddedStore, RedisStore, Seal, Store};

pub(super) enum Place {
    Redis(RedisServer),
    Embedded(Directory),
}

impl Place {
    pub(super) fn redis() -> Self {
        Self::Redis(RedisServer::start())
    }

    pub(super) fn embedded() -> Self {
        Self::Embedded(Directory::new())
    }

    pub(super) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Redis(server) => Arc::new(server.store()),
            Self::Embedded(directory) => Arc::new(
                EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened"),
            ),
        }
    }
}

/// A directory that goes with the scene.
pub(super) struct Directory(pub(super) PathBuf);

impl Directory {
    pub(super) fn new() -> Self {
        let name = format!("openfed-store-{}-{:x}", std::process::id(), rand::random::<u64>());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A `redis-server` that ends with the scene and keeps nothing.
pub(super) struct RedisServer {
    child: Option<Child>,
    port: u16,
    directory: Directory,
}

impl RedisServer {
    pub(super) fn start() -> Self {
        let directory = Directory::new();
        std::fs::create_dir_all(&directory.0).expect("a directory");
        // Another process may take a free port before Redis does.
        for _ in 0..20 {
            let port = free_port();
            if let Some(child) = spawn(port, &directory.0) {
                return Self { child: Some(child), port, directory };
            }
        }
        panic!("redis-server does not start");
    }

    /// A server address where there is no server.
    pub(super) fn absent() -> Self {
        Self { child: None, port: free_port(), directory: Directory::new() }
    }

    pub(super) fn store(&self) -> RedisStore {
        RedisStore::new(&self.url(), Seal::none()).expect("a usable URL")
    }

    pub(super) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    /// What a command says of a key, as text.
    pub(super) async fn get(&self, command: &str, key: &str) -> String {
        let client = redis::Client::open(self.url()).expect("a usable URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
        let said: Vec<String> =
            redis::cmd(command).arg(key).query_async(&mut connection).await.expect(command);
        said.join("\n")
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns when the key has this value.
    pub(super) async fn wait_for(&self, key: &str, value: &str) {
        let client = redis::Client::open(self.url()).expect("a usable URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
        loop {
            let mut get = redis::cmd("GET");
            let found: redis::RedisResult<Option<String>> =
                get.arg(key).query_async(&mut connection).await;
            match found {
                Ok(found) if found.as_deref() == Some(value) => return,
                // A server that is loading, or that takes another one's data, cuts connections.
                Ok(_) => tokio::task::yield_now().await,
                Err(_) => {
                    if let Ok(again) = client.get_multiplexed_async_connection().await {
                        connection = again;
                    }
                }
            }
        }
    }

    /// Starts (again) at the same port, with what was saved.
    pub(super) fn restart(&mut self) {
        self.kill();
        std::fs::create_dir_all(&self.directory.0).expect("a directory");
        self.child = spawn(self.port, &self.directory.0);
        assert!(self.child.is_some(), "the port was taken in the meantime");
    }

    pub(super) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Sends `-STOP` or `-CONT`.
    pub(super) fn signal(&self, signal: &str) {
        let id = self.child.as_ref().expect("a running server").id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().expect("kill").success());
    }

    /// Runs a command and returns when it was done.
    pub(super) async fn run(&self, command: &str) {
        let client = redis::Client::open(self.url()).expect("a usable URL");
        let mut connection = client.get_multiplexed_async_connection().await.expect("connected");
        let mut words = command.split(' ');
        let mut call = redis::cmd(words.next().unwrap_or_default());
        let _: redis::Value =
            call.arg(words.collect::<Vec<_>>()).query_async(&mut connection).await.expect(command);
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}

/// Returns when the server is ready; none if it ended at once.
fn spawn(port: u16, directory: &Path) -> Option<Child> {
    // Another program that speaks the same, such as Valkey's.
    let program = std::env::var_os("OPENFED_REDIS_SERVER").filter(|program| !program.is_empty());
    let mut child = Command::new(program.unwrap_or_else(|| "redis-server".into()))
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
        .args(["--save", "", "--appendonly", "no", "--repl-diskless-sync-delay", "0", "--dir"])
        .arg(directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("redis-server is installed");
    let output = BufReader::new(child.stdout.take().expect("a pipe"));
    let ready = |line: &String| line.contains("Ready to accept connections");
    if output.lines().map_while(Result::ok).any(|line| ready(&line)) {
        return Some(child);
    }
    let _ = child.wait();
    None
}
