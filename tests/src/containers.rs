//! The stack of `deploy/compose.yaml`, as an operator brings it up.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::{Duration, Instant};

use tokio::process::Command;
use tokio::time::sleep;

use crate::{Failure, Result};

/// How often the engine is asked whether something has come about.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// A stack of its own, of which nothing is left when it is taken down.
pub struct Stack {
    project: String,
    root: PathBuf,
    environment: BTreeMap<&'static str, String>,
}

impl Stack {
    /// Brings it up with the profile `demo`, builds what is to be built, and waits until all that
    /// has a health check is well. The spans go to `sink`, foreign XMPP domains are looked up at `dns`.
    pub async fn up(sink: SocketAddr, dns: SocketAddr) -> Result<Self> {
        if std::env::var_os("DOCKER_HOST").is_none() {
            return Err(Failure::new("no engine: these scenes are run by tests/compose"));
        }
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let project = format!("openfed{}", std::process::id());
        // Nobody looks from outside, and this machine may have a Prometheus of its own.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let environment = BTreeMap::from([
            ("OTLP_SINK", sink.to_string()),
            ("PROMETHEUS_PORT", port.to_string()),
            ("FOREIGN_DNS", dns.to_string()),
            // An operator of the tests comes from outside.
            ("OPENFED_CONSOLE_AT", Ipv4Addr::UNSPECIFIED.to_string()),
        ]);
        let stack = Self { project, root, environment };
        stack.compose(&["--profile", "demo", "up", "--detach", "--no-color"]).await?;
        stack.is_well().await?;
        Ok(stack)
    }

    /// Starts the Prometheus of the profile `observe`.
    pub async fn observe(&self) -> Result<()> {
        let up =
            ["--profile", "observe", "up", "--detach", "--no-color", "--no-deps", "prometheus"];
        self.compose(&up).await.map(drop)
    }

    /// Ends and removes all of it.
    pub async fn down(self) -> Result<()> {
        let profiles = ["--profile", "demo", "--profile", "observe"];
        let down = [&profiles[..], &["down", "--volumes", "--timeout", "1"]].concat();
        self.compose(&down).await.map(drop)
    }

    /// What all of it has logged, for whoever looks why a scene failed.
    pub async fn print_logs(&self) -> Result<()> {
        let logs = self.compose(&["--profile", "demo", "logs", "--no-color", "--tail", "200"]);
        #[expect(clippy::print_stderr, reason = "a failed test says why")]
        for line in logs.await?.lines() {
            eprintln!("{line}");
        }
        Ok(())
    }

    /// Runs docker-compose on it.
    pub async fn compose(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker-compose");
        command
            .args(["-p", &self.project, "-f", "deploy/compose.yaml"])
            .args(["-f", "tests/containers/compose.yaml"])
            .args(arguments)
            .current_dir(&self.root)
            .envs(&self.environment);
        said(&format!("docker-compose {arguments:?}"), command.output().await?)
    }

    /// Sets how many replicas of a service there are.
    pub async fn scale(&self, replicas: &[(&str, usize)]) -> Result<()> {
        let counts: Vec<String> =
            replicas.iter().map(|(service, count)| format!("--scale={service}={count}")).collect();
        let mut arguments = vec!["--profile", "demo", "up", "--detach", "--no-recreate"];
        arguments.extend(counts.iter().map(String::as_str));
        self.compose(&arguments).await?;
        self.is_well().await
    }

    /// What this machine's ports lead to: the ports that a container is given, each with its own.
    pub async fn published(&self, container: &str) -> Result<Vec<String>> {
        let ports = docker(&["port", container]).await?;
        let v4 = ports.lines().filter(|line| line.contains("-> 0.0.0.0:"));
        let mut ports: Vec<_> = v4.map(|line| line.replace("0.0.0.0:", "")).collect();
        ports.sort_unstable();
        Ok(ports)
    }

    /// The running containers of a service.
    pub async fn replicas(&self, service: &str) -> Result<Vec<String>> {
        let project = format!("label=com.docker.compose.project={}", self.project);
        let service = format!("label=com.docker.compose.service={service}");
        let ids = docker(&["ps", "--quiet", "--filter", &project, "--filter", &service]).await?;
        Ok(ids.lines().map(str::to_owned).collect())
    }

    /// The address of a container in the stack's network.
    pub async fn address(&self, container: &str) -> Result<IpAddr> {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        Ok(docker(&["inspect", "--format", format, container]).await?.trim().parse()?)
    }

    /// The addresses of all replicas of a service.
    pub async fn addresses(&self, service: &str) -> Result<Vec<IpAddr>> {
        let mut addresses = Vec::new();
        for container in self.replicas(service).await? {
            addresses.push(self.address(&container).await?);
        }
        Ok(addresses)
    }

    /// This machine's address in the stack's network.
    pub async fn gateway(&self) -> Result<IpAddr> {
        let network = self.network();
        let format = "{{range .IPAM.Config}}{{.Gateway}}{{end}}";
        Ok(docker(&["network", "inspect", "--format", format, &network]).await?.trim().parse()?)
    }

    /// The stack's network.
    pub fn network(&self) -> String {
        format!("{}_default", self.project)
    }

    /// Waits until every container that has a health check is well.
    pub async fn is_well(&self) -> Result<()> {
        let format = "{{.Name}} {{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} \
                      {{.State.Status}} {{.State.ExitCode}}";
        let ids = self.compose(&["--profile", "demo", "ps", "--quiet"]).await?;
        let mut arguments = vec!["inspect", "--format", format];
        arguments.extend(ids.lines());
        let over = Instant::now() + Duration::from_secs(90);
        loop {
            let states = docker(&arguments).await?;
            let is_well = |line: &str| {
                line.ends_with(" healthy running 0")
                    || line.ends_with(" none running 0")
                    || line.ends_with(" none exited 0")
            };
            if states.lines().all(is_well) {
                return Ok(());
            }
            if Instant::now() > over {
                let logs = self.compose(&["--profile", "demo", "logs", "--tail", "30"]).await?;
                return Err(Failure::new(format!("not well:\n{states}\n{logs}")));
            }
            sleep(LOOK_EVERY).await;
        }
    }
}

/// This machine's address on the engine's own bridge, where every container reaches it: the first
/// one of the bridge's network.
pub async fn own_address() -> Result<IpAddr> {
    let format = "{{range .IPAM.Config}}{{.Subnet}}{{end}}";
    let subnet = docker(&["network", "inspect", "--format", format, "bridge"]).await?;
    let network = subnet.split('/').next().unwrap_or_default();
    Ok(Ipv4Addr::from_bits(network.parse::<Ipv4Addr>()?.to_bits() + 1).into())
}

/// Runs docker and gives its standard output.
pub async fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker").args(arguments).output().await?;
    said(&format!("docker {arguments:?}"), output)
}

fn said(what: &str, output: Output) -> Result<String> {
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let error = String::from_utf8_lossy(&output.stderr);
    Err(Failure::new(format!("{what}: {}: {error}", output.status)))
}
