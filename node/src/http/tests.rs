use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

async fn started(routes: Router) -> (Http, Health) {
    let health = Health::default();
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let http = Http::start(any_port, routes, health.clone()).await.expect("a free port");
    (http, health)
}

/// Status line and body of one GET.
async fn get_page(http: &Http, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(http.address()).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("head and body");
    (head.lines().next().unwrap_or_default().to_owned(), body.to_owned())
}

/// The status of one GET, asked for while the runtime of the test stands still.
fn status_from_outside(address: SocketAddr, path: &str) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(address).expect("connected");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        .expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

/// The value of one series of `/metrics`.
async fn value(http: &Http, series: &str) -> Option<f64> {
    let (_, body) = get_page(http, "/metrics").await;
    let lines = body.lines().filter_map(|line| line.rsplit_once(' '));
    let (_, value) = lines.into_iter().find(|(name, _)| *name == series)?;
    value.parse().ok()
}

#[tokio::test]
async fn readiness_is_what_the_service_says() {
    metrics::start();
    let (http, health) = started(Router::new()).await;
    assert!(get_page(&http, "/readyz").await.0.contains("503"));
    assert_eq!(value(&http, "openfed_ready").await, Some(0.0));
    for _ in 0..2 {
        health.set_ready(true);
        assert!(get_page(&http, "/readyz").await.0.contains("200"));
        assert!(health.is_ready());
        assert_eq!(value(&http, "openfed_ready").await, Some(1.0));
    }
    health.set_ready(false);
    assert_eq!(value(&http, "openfed_ready").await, Some(0.0));
}

#[tokio::test]
async fn a_degraded_service_is_alive_and_says_why() {
    metrics::start();
    let degraded = r#"openfed_degraded{part="store"}"#;
    let (http, health) = started(Router::new()).await;
    assert_eq!(
        get_page(&http, "/healthz").await.1,
        r#"{"problems":{},"ready":false,"status":"ok"}"#
    );

    health.degrade("store", "Redis does not answer");
    let (status, body) = get_page(&http, "/healthz").await;
    assert!(status.contains("200"), "{status}");
    let reason = r#"{"store":"Redis does not answer"}"#;
    assert_eq!(body, format!(r#"{{"problems":{reason},"ready":false,"status":"degraded"}}"#));
    assert_eq!(value(&http, degraded).await, Some(1.0));

    health.recover("store");
    assert!(health.problems().is_empty());
    assert_eq!(value(&http, degraded).await, Some(0.0));
}

#[tokio::test]
async fn a_thread_that_hangs_is_seen_from_outside() {
    metrics::start();
    let (http, health) = started(Router::new()).await;
    // Not by `set_ready`: the gauge is of the whole process, and another test looks at it.
    health.shared.ready.store(true, Ordering::Relaxed);
    let watch = health.watch();
    // Looked at while this thread, which is to turn, does nothing else.
    let statuses = || ["/healthz", "/readyz"].map(|path| status_from_outside(http.address(), path));
    let long_ago = |health: &Health| {
        *health.beat() = Instant::now().checked_sub(HANGS_AFTER);
    };
    assert_eq!(statuses(), ["200", "200"]);
    // As if it had hung until now; then it turns again.
    long_ago(&health);
    assert_eq!(statuses(), ["503", "503"]);
    let beats = async || {
        while health.hangs() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(BEAT * 10, beats()).await.expect("it turns again");
    assert_eq!(statuses(), ["200", "200"]);
    // Who has stopped in order does not hang.
    long_ago(&health);
    drop(watch);
    assert_eq!(statuses(), ["200", "200"]);
}

#[tokio::test]
async fn what_is_counted_is_shown() {
    metrics::start();
    ::metrics::counter!("openfed_test_total", "kind" => "shown").increment(3);
    let (http, _) = started(Router::new()).await;
    let (status, body) = get_page(&http, "/metrics").await;
    assert!(status.contains("200"), "{status}");
    assert!(body.contains("openfed_test_total{kind=\"shown\"} 3"), "{body}");
}

#[tokio::test]
async fn what_the_process_takes_is_shown() {
    metrics::start();
    let (http, _) = started(Router::new()).await;
    let began = value(&http, "process_cpu_seconds_total").await.expect("processor time");
    while value(&http, "process_cpu_seconds_total").await.is_none_or(|now| now <= began) {
        std::hint::black_box((0..1_000_000).sum::<u64>());
    }
    for (series, least, most) in [
        ("process_resident_memory_bytes", 1e6, 1e10),
        ("process_open_fds", 4.0, 1e5),
        ("process_max_fds", 64.0, 1e10),
        ("process_start_time_seconds", 1.7e9, 1e10),
    ] {
        let value = value(&http, series).await.expect(series);
        assert!((least..most).contains(&value), "{series} {value}");
    }
}

#[tokio::test]
async fn a_service_adds_its_own_routes() {
    let (http, _) = started(Router::new().route("/api/v1/nodes", get(async || "[]"))).await;
    assert_eq!(get_page(&http, "/api/v1/nodes").await.1, "[]");
    assert!(get_page(&http, "/elsewhere").await.0.contains("404"));
}

#[tokio::test]
async fn a_taken_address_is_an_error_that_names_it() {
    let (http, health) = started(Router::new()).await;
    let taken = http.address();
    let error = Http::start(taken, Router::new(), health).await.expect_err("taken");
    assert!(error.to_string().contains(&taken.to_string()), "{error}");
}

#[tokio::test]
async fn closing_does_not_wait_for_an_endless_answer() {
    // Given an answer that never ends, and a client that waits for it
    let routes = Router::new().route("/follow", get(async || std::future::pending::<()>().await));
    let (http, _) = started(routes).await;
    let address = http.address();
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(b"GET /follow HTTP/1.1\r\nHost: test\r\n\r\n").await.expect("written");
    get_page(&http, "/healthz").await;
    // When the server closes, then it does
    let closed = tokio::time::timeout(std::time::Duration::from_secs(5), http.close());
    closed.await.expect("closed");
    assert!(TcpStream::connect(address).await.is_err(), "takes no new connections");
}

/// A new certificate for `localhost` in these files; gives what a client trusts then.
fn certify(identity: &Identity) -> rustls::RootCertStore {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
    std::fs::write(&identity.certificate, made.cert.pem()).expect("written");
    std::fs::write(&identity.key, made.signing_key.serialize_pem()).expect("written");
    let mut roots = rustls::RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a certificate");
    roots
}

/// The status line of one GET over TLS, if the server's certificate is trusted.
async fn get_secretly(http: &Http, roots: rustls::RootCertStore) -> std::io::Result<String> {
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = tokio_rustls::TlsConnector::from(std::sync::Arc::new(config));
    let stream = TcpStream::connect(http.address()).await?;
    let name = "localhost".try_into().expect("a name");
    let mut stream = connector.connect(name, stream).await?;
    stream.write_all(b"GET /own HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn a_certificate_is_shown_and_read_again_when_it_changes() {
    let name = format!("openfed-http-{}-{:x}", std::process::id(), rand::random::<u64>());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    let identity =
        Identity { certificate: directory.join("own.crt"), key: directory.join("own.key") };
    let first = certify(&identity);
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let routes = || Router::new().route("/own", get(async || "own"));
    let http = Http::serve(any_port, Some(&identity), Proxies::default(), routes())
        .await
        .expect("a free port");
    let answer = get_secretly(&http, first.clone()).await.expect("an answer");
    assert!(answer.contains("200"), "{answer}");
    // Who speaks no TLS gets nothing, and holds nobody up.
    let mut plain = TcpStream::connect(http.address()).await.expect("connected");
    plain.write_all(b"GET /own HTTP/1.1\r\n\r\n").await.expect("written");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");

    let second = certify(&identity);
    let renewed = async {
        while get_secretly(&http, second.clone()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    let limit = std::time::Duration::from_secs(10);
    tokio::time::timeout(limit, renewed).await.expect("read again");
    assert!(get_secretly(&http, first).await.is_err(), "the old one is shown no more");

    // Half a renewal: what was read last is still shown.
    std::fs::write(&identity.key, "nonsense").expect("written");
    assert!(get_secretly(&http, second).await.is_ok());
    let error = Http::serve(any_port, Some(&identity), Proxies::default(), routes())
        .await
        .expect_err("no key");
    assert!(error.to_string().contains("own.key"), "{error}");
    std::fs::remove_dir_all(&directory).expect("removed");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let (http, _) = started(Router::new()).await;
    let mut stream = TcpStream::connect(http.address()).await.expect("connected");
    let long = "x".repeat(100_000);
    let _ = stream.write_all(format!("GET / HTTP/1.1\r\nX: {long}\r\n\r\n").as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    assert!(get_page(&http, "/healthz").await.0.contains("200"), "others are served");
}

/// The status line of one GET of `/who` from 127.0.0.2, behind `first`; the body says who asks.
async fn who(http: &Http, first: &[u8]) -> Option<String> {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).expect("bound");
    let mut stream = socket.connect(http.address()).await.expect("connected");
    let request = b"GET /who HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n";
    stream.write_all(&[first, request].concat()).await.expect("written");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.ok()?;
    answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned())
}

#[tokio::test]
async fn a_proxy_says_who_asks() {
    let from = ["127.0.0.2".parse().expect("a source")];
    let handler = async |axum::Extension(Peer(peer)): axum::Extension<Peer>| peer.to_string();
    let routes = Router::new().route("/who", get(handler));
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let proxies = Proxies::of(&from).await;
    let http = Http::serve(any_port, None, proxies, routes).await.expect("a free port");
    let client = "198.51.100.7:1234".parse().expect("an address");
    let header = crate::proxy::Header::of_stream(client, http.address());
    assert_eq!(who(&http, &header).await.as_deref(), Some("198.51.100.7:1234"));
    assert_eq!(who(&http, b"").await, None, "a proxy has to say it");
    let (_, body) = get_page(&http, "/who").await;
    assert!(body.starts_with("127.0.0.1:"), "{body}");
}

#[tokio::test]
async fn http_1_1_names_one_host() {
    let (http, _health) = started(Router::new()).await;
    for (head, status) in [
        ("GET /healthz HTTP/1.1\r\nConnection: close\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: u@a\r\nConnection: close\r\n", "400"),
        ("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost: [::1]:80\r\nConnection: close\r\n", "200"),
        ("GET /healthz HTTP/1.1\r\nHost:\r\nConnection: close\r\n", "200"),
        ("GET /healthz HTTP/1.0\r\n", "200"),
    ] {
        let mut stream = TcpStream::connect(http.address()).await.expect("connected");
        stream.write_all(format!("{head}\r\n").as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        assert_eq!(answer.split(' ').nth(1), Some(status), "{head:?}");
    }
}
