//! Redis behind Redis Sentinel: a primary, two replicas, three sentinels.

use std::net::SocketAddr;

use crate::Result;
use crate::place::{Host, Place};
use crate::process::Process;

/// What the sentinels call it.
const NAME: &str = "main";
/// Of the primary; its replicas have the next two.
const SERVERS: u16 = 6379;
const SENTINELS: u16 = 26_379;

/// All six processes.
pub struct Sentinels {
    addresses: Vec<SocketAddr>,
    primary: Process,
    _others: Vec<Process>,
}

impl Sentinels {
    /// Starts them; a primary that is silent for a second is replaced.
    pub async fn start(place: &Place) -> Result<Self> {
        let directory = place.directory("sentinel")?;
        let ip = place.ip(Host::Redis).to_string();
        let primary = server(place, 0, &[]).await?;
        // All are connected from another address of loopback than they listen at.
        let follow = ["--replicaof", &ip, &SERVERS.to_string(), "--replica-announce-ip", &ip];
        let mut others = vec![server(place, 1, &follow).await?, server(place, 2, &follow).await?];
        let mut addresses = Vec::new();
        for number in 0..3 {
            let port = SENTINELS + number;
            let file = directory.join(format!("sentinel-{number}.conf"));
            let settings = format!(
                "port {port}\nbind {ip}\nprotected-mode no\n\
                 sentinel announce-ip {ip}\n\
                 sentinel monitor {NAME} {ip} {SERVERS} 2\n\
                 sentinel down-after-milliseconds {NAME} 1000\n\
                 sentinel failover-timeout {NAME} 6000\n"
            );
            std::fs::write(&file, settings)?;
            let (name, file) = (format!("sentinel-{number}"), file.display().to_string());
            let sentinel = Process::start(place, &name, "redis-sentinel", &[&file])?;
            // Whoever knows both replicas can choose one.
            for replica in [SERVERS + 1, SERVERS + 2] {
                sentinel.line(&format!("+slave slave {ip}:{replica}")).await?;
            }
            addresses.push(place.at(Host::Redis, port));
            others.push(sentinel);
        }
        Ok(Self { addresses, primary, _others: others })
    }

    /// The store setting of openfed for them.
    pub fn url(&self) -> String {
        let hosts: Vec<_> = self.addresses.iter().map(ToString::to_string).collect();
        format!("redis+sentinel://{}/{NAME}/0", hosts.join(","))
    }

    /// Kills the server that is the primary at first.
    pub async fn kill_primary(&mut self) -> Result<()> {
        self.primary.kill().await
    }
}

async fn server(place: &Place, number: u16, more: &[&str]) -> Result<Process> {
    let name = format!("redis-{number}");
    let directory = place.directory(&name)?;
    let (ip, port) = (place.ip(Host::Redis).to_string(), (SERVERS + number).to_string());
    let directory = directory.to_string_lossy();
    let own = ["--bind", &ip, "--port", &port, "--dir", &directory, "--save", ""];
    let own = [&own[..], &["--protected-mode", "no", "--repl-diskless-sync-delay", "0"], more];
    let process = Process::start(place, &name, "redis-server", &own.concat())?;
    process.line("Ready to accept connections").await?;
    Ok(process)
}
