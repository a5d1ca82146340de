//! Scenes: `openfed check` finds what is in place, names what is not, and says what to do.

#![allow(clippy::unwrap_used, reason = "a scene that cannot be set fails")]

#[path = "support/script.rs"]
mod script;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;

use axum::http::Method;
use openfed::cli::Failure;
use script::Script;
use serde_json::{Value, json};
use tokio::net::UdpSocket;

const LOOPBACK: &str = "127.0.0.1:0";

/// A settings file of its own, gone at the end of the scene.
struct SettingsFile {
    file: PathBuf,
    sip_http: SocketAddr,
}

impl SettingsFile {
    fn write(name: &str, sip: SocketAddr, home: SocketAddr, dns: SocketAddr) -> Self {
        let file = format!("openfed-check-{name}-{}.toml", std::process::id());
        let file = std::env::temp_dir().join(file);
        let [link, router, sip_http, listen, xmpp_http] = [(); 5].map(|()| unused());
        let text = format!(
            r#"
            domains.local = ["corp.example"]
            router = {{ link = "{link}", http = "{router}" }}
            sip = {{ listen = ["tcp:{sip}"], http = "{sip_http}", resolver.servers = ["{dns}"] }}
            xmpp = {{ listen = "{listen}", http = "{xmpp_http}", resolver.servers = ["{dns}"],
                      home = [{{ domain = "corp.example", address = "{home}" }}] }}
            "#
        );
        std::fs::write(&file, text).unwrap();
        Self { file, sip_http }
    }

    fn path(&self) -> &str {
        self.file.to_str().unwrap()
    }
}

impl Drop for SettingsFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.file);
    }
}

/// An address at which nobody listens.
fn unused() -> SocketAddr {
    TcpListener::bind(LOOPBACK).unwrap().local_addr().unwrap()
}

/// A name server that knows no name, which is an answer, too.
async fn name_server() -> SocketAddr {
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut query = [0; 512];
        loop {
            let (octets, from) = socket.recv_from(&mut query).await.unwrap();
            query[2] |= 0x80;
            query[3] = 0x83;
            socket.send_to(&query[..octets], from).await.unwrap();
        }
    });
    address
}

/// A SIP server that answers OPTIONS.
async fn next_hop() -> SocketAddr {
    let socket = UdpSocket::bind(LOOPBACK).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 2000];
        loop {
            let (octets, from) = socket.recv_from(&mut buffer).await.unwrap();
            let request = String::from_utf8_lossy(&buffer[..octets]).into_owned();
            let answer = match request.split_once("\r\n") {
                Some((start, rest)) if start.starts_with("OPTIONS ") => {
                    format!("SIP/2.0 200 Here I am\r\n{rest}")
                }
                _ => panic!("not OPTIONS: {request}"),
            };
            socket.send_to(answer.as_bytes(), from).await.unwrap();
        }
    });
    address
}

fn open_route(next_hop: SocketAddr) -> Value {
    json!({ "items": [{
        "pattern": ".*", "description": "", "next_hop": next_hop.ip(), "port": next_hop.port(),
        "type": "domain", "protocol": "udp", "priority": 1, "weight": 1,
        "allow_less_specific": true, "in_service": true, "blocked": false, "predefined": true
    }] })
}

/// What is asked of the API: how the home server prepares names, and where the open route leads.
fn asked(next_hop: SocketAddr) -> Script {
    let found = "as RFC 7622 says";
    let trial = json!({ "domain": "corp.example", "ways": [{
        "protocol": "xmpp", "node": "xmpp-cm-1", "steps": [{
            "what": "Names at the home server of corp.example", "finding": found, "good": true,
            "took_us": 0
        }]
    }] });
    Script::default()
        .expect(Method::POST, "/api/v1/explain/corp.example/trial", json!({}), (200, trial))
        .get("/api/v1/static-routes", open_route(next_hop))
}

#[tokio::test]
async fn all_is_in_place() {
    let home = TcpListener::bind(LOOPBACK).unwrap();
    let home_at = home.local_addr().unwrap();
    let settings = SettingsFile::write("good", unused(), home_at, name_server().await);
    let next_hop = next_hop().await;
    let script = asked(next_hop);
    let (ended, printed) = script.run(&["check", "--config", settings.path()]).await;
    ended.unwrap_or_else(|failure| panic!("{failure}\n{printed}"));
    for finding in [
        "is valid; yours: corp.example",
        "xcp-router does not run",
        "xmpp.resolver.servers: name servers",
        &format!("corp.example: {home_at} takes connections"),
        "corp.example: as RFC 7622 says",
        &format!(".*: next hop 127.0.0.1 (udp {next_hop}) answers OPTIONS: 200 Here I am"),
        "All is in place.",
    ] {
        assert!(printed.contains(finding), "{finding} is missing in\n{printed}");
    }
}

#[tokio::test]
async fn a_service_that_is_not_ready_is_said_to_wait() {
    let listener = || TcpListener::bind(LOOPBACK).unwrap();
    let (home, sip) = (listener(), listener());
    let at = |listener: &TcpListener| listener.local_addr().unwrap();
    let settings = SettingsFile::write("waiting", at(&sip), at(&home), name_server().await);
    let http = tokio::net::TcpListener::bind(settings.sip_http).await.unwrap();
    let health = r#"{"status":"ok","ready":false,"problems":{}}"#;
    let page = axum::routing::get(async move || health);
    let routes = axum::Router::new().route("/healthz", page);
    tokio::spawn(async move { axum::serve(http, routes).await });
    let next_hop = next_hop().await;
    let script = asked(next_hop);
    let (_, printed) = script.run(&["check", "--config", settings.path()]).await;
    assert!(printed.contains("sip-cm runs, but is not ready"), "{printed}");
    assert!(printed.contains("it waits for a router"), "{printed}");
    assert!(!printed.contains("sip-cm runs and is well"), "{printed}");
}

#[tokio::test]
async fn what_works_badly_is_said_instead_of_that_all_is_in_place() {
    let listener = || TcpListener::bind(LOOPBACK).unwrap();
    let (home, sip) = (listener(), listener());
    let at = |listener: &TcpListener| listener.local_addr().unwrap();
    let settings = SettingsFile::write("badly", at(&sip), at(&home), name_server().await);
    let http = tokio::net::TcpListener::bind(settings.sip_http).await.unwrap();
    let health = r#"{"status":"degraded","ready":true,"problems":{"delivery":"no proof"}}"#;
    let page = axum::routing::get(async move || health);
    let routes = axum::Router::new().route("/healthz", page);
    tokio::spawn(async move { axum::serve(http, routes).await });
    let next_hop = next_hop().await;
    let script = asked(next_hop);
    let (ended, printed) = script.run(&["check", "--config", settings.path()]).await;
    assert!(ended.is_ok(), "{printed}");
    assert!(printed.contains("delivery works badly: no proof"), "{printed}");
    assert!(!printed.contains("All is in place"), "{printed}");
    assert!(printed.contains("not all works well"), "{printed}");
}

#[tokio::test]
async fn each_thing_out_of_place_comes_with_what_to_do() {
    let occupied = TcpListener::bind(LOOPBACK).unwrap();
    let occupied_at = occupied.local_addr().unwrap();
    let settings = SettingsFile::write("bad", occupied_at, unused(), name_server().await);
    let gone = UdpSocket::bind(LOOPBACK).await.unwrap().local_addr().unwrap();
    let script = asked(gone);
    let (ended, printed) = script.run(&["check", "--json", "--config", settings.path()]).await;
    assert!(matches!(ended, Err(Failure::Checks(3))), "{printed}");
    let findings: Value = serde_json::from_str(&printed).unwrap();
    let failed: Vec<(&str, &str)> = findings["items"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|finding| finding["status"] == "fail")
        .map(|finding| (finding["subject"].as_str().unwrap(), finding["advice"].as_str().unwrap()))
        .collect();
    assert_eq!(
        failed,
        [
            ("ports", "stop it, or change sip.listen"),
            (
                "home server",
                "start the XMPP server, or correct xmpp.home.address: it is the server-to-server \
                 port (often 5269), not the clients' one"
            ),
            ("routes", "nobody listens there: check port and protocol"),
        ]
    );
}

#[tokio::test]
async fn without_settings_and_router_it_says_so() {
    let api = format!("http://{}", unused());
    let (ended, printed) = script::run(&["check", "--api", &api]).await;
    assert!(matches!(ended, Err(Failure::Checks(1))), "{printed}");
    assert!(printed.contains("no openfed.toml here"), "{printed}");
    assert!(printed.contains("start xcp-router, or name it with --api"), "{printed}");
}

#[tokio::test]
async fn a_password_never_travels_in_the_clear_to_another_machine() {
    let script = Script::default().get("/api/v1/static-routes", json!({ "items": [] }));
    let command = "check --user a@corp.example --password-file Cargo.toml \
                   --server 192.0.2.1:5222 --no-tls";
    let (ended, printed) = script.run(&command.split_whitespace().collect::<Vec<_>>()).await;
    assert!(matches!(ended, Err(Failure::Checks(1))), "{printed}");
    assert!(printed.contains("--no-tls sends the password in the clear"), "{printed}");
}
