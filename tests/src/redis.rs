//! redis-server.

use std::net::SocketAddr;

use crate::Result;
use crate::place::{Host, Place};
use crate::process::Process;

/// A running redis-server that keeps its data in its directory from one start to the next.
pub struct Redis {
    address: SocketAddr,
    process: Process,
}

impl Redis {
    /// Starts it on the standard port of its host.
    pub async fn start(place: &Place) -> Result<Self> {
        let address = place.at(Host::Redis, 6379);
        let directory = place.directory("redis")?;
        let ip = address.ip().to_string();
        let directory = directory.to_string_lossy();
        let arguments = [
            "--bind",
            &ip,
            "--port",
            "6379",
            "--dir",
            &directory,
            "--save",
            "",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--protected-mode",
            "no",
        ];
        let process = Process::start(place, "redis", "redis-server", &arguments)?;
        process.line("Ready to accept connections").await?;
        Ok(Self { address, process })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The running process.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The store setting of openfed for it.
    pub fn url(&self) -> String {
        format!("redis://{}/0", self.address)
    }

    /// Kills it; [`Redis::start`] on the same place brings it back with its data.
    pub async fn kill(mut self) -> Result<()> {
        self.process.kill().await
    }

    /// Freezes it: connections stay open, nothing is answered.
    pub fn freeze(&self) -> Result<()> {
        self.process.freeze()
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.process.thaw()
    }
}
