//! Scenes: `openfed demo` and `openfed up` as whole processes.

#![allow(clippy::unwrap_used, reason = "a scene that cannot be set fails")]

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const OPENFED: &str = env!("CARGO_BIN_EXE_openfed");

#[test]
fn the_demo_shows_the_documented_hop_and_then_the_cached_one() {
    let ended = Command::new(OPENFED).arg("demo").output().unwrap();
    let shown = String::from_utf8(ended.stdout).unwrap();
    assert!(ended.status.success(), "{shown}\n{}", String::from_utf8_lossy(&ended.stderr));
    let roles: Vec<&str> = shown
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix('+')?.split_whitespace().nth(2))
        .collect();
    assert_eq!(roles, ["sip-cm", "xcp-router", "xmpp-cm", "xcp-router", "sip-cm"], "{shown}");
    for sight in [
        "unknown.example  discovered  outbound   .*",
        "packets over the links: 0, DNS queries for XMPP: 0",
    ] {
        assert!(shown.contains(sight), "{sight} is missing in\n{shown}");
    }
}

/// A process that does not outlive its scene.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn unused() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn up_runs_the_three_services_until_it_is_told_to_end() {
    let name = format!("openfed-up-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    let sip = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let [link, http, sip_http, xmpp, xmpp_http, home] = [(); 6].map(|()| unused());
    let place = directory.display();
    let settings = format!(
        r#"
        domains.local = ["corp.example"]
        store.url = "embedded:{place}/data"
        router = {{ link = "{link}", http = "{http}" }}
        cm.routers = ["http://{link}"]
        sip = {{ listen = ["udp:{sip}"], http = "{sip_http}" }}
        xmpp = {{ listen = "{xmpp}", http = "{xmpp_http}", tls.directory = "{place}/tls",
                  home = [{{ domain = "corp.example", address = "{home}" }}] }}
        "#
    );
    std::fs::write(directory.join("openfed.toml"), settings).unwrap();
    let mut process = Running(
        Command::new(OPENFED)
            .arg("up")
            .current_dir(&directory)
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    let log = BufReader::new(process.0.stderr.take().unwrap());
    let log = std::thread::spawn(move || log.lines().map_while(Result::ok).collect::<Vec<_>>());

    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let nodes = Command::new(OPENFED).arg("nodes").current_dir(&directory).output().unwrap();
        let nodes = String::from_utf8(nodes.stdout).unwrap();
        if nodes.contains("sip-cm") && nodes.contains("xmpp-cm") {
            break;
        }
        let ended = process.0.try_wait().unwrap();
        assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}\n{nodes}");
    }

    let id = process.0.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
    let ended = process.0.wait().unwrap();
    let log = log.join().unwrap().join("\n");
    assert!(ended.success(), "{ended}\n{log}");
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn up_says_why_a_service_did_not_start() {
    let directory = std::env::temp_dir().join(format!("openfed-why-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let place = directory.display();
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let taken = holder.local_addr().unwrap();
    for (sip, words) in [
        (format!("listen = [\"udp:{taken}\"]"), [taken.to_string(), "os error".to_owned()]),
        (
            format!(
                "listen = [\"tls:127.0.0.1:0\"]\ntls.certificate = \"{place}/no\"\ntls.key = \"{place}/no\""
            ),
            [format!("{place}/no"), "os error".to_owned()],
        ),
    ] {
        let settings = format!(
            r#"
            domains.local = ["corp.example"]
            store.url = "embedded:{place}/data"
            router = {{ link = "127.0.0.1:0", http = "127.0.0.1:0" }}
            cm.routers = ["http://127.0.0.1:9"]
            xmpp = {{ listen = "127.0.0.1:0", http = "127.0.0.1:0", tls.directory = "{place}/tls",
                      home = [{{ domain = "corp.example", address = "127.0.0.1:9" }}] }}
            [sip]
            http = "127.0.0.1:0"
            {sip}
            "#
        );
        let file = directory.join("openfed.toml");
        std::fs::write(&file, settings).unwrap();
        let ended = Command::new(OPENFED).arg("up").arg("--config").arg(&file).output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        let said = String::from_utf8(said).unwrap();
        assert!(!ended.status.success(), "{said}");
        let why = said.lines().find(|line| line.contains("failed:")).expect("a reason");
        assert!(why.contains("sip-cm") && words.iter().all(|word| why.contains(word)), "{why}");
    }
    let _ = std::fs::remove_dir_all(&directory);
}
