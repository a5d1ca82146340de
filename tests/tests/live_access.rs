//! Access to the running program: nobody gets in without a login, and hostile requests get an
//! answer, and nothing else.

use std::net::SocketAddr;
use std::time::Duration;

use openfed_tests::openfed::{Openfed, Setup};
use openfed_tests::place::Place;
use openfed_tests::scene::play;
use openfed_tests::{Failure, Result, http};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PASSWORD: &str = "correct horse battery";

async fn start(place: &Place) -> Result<Openfed> {
    Openfed::start(place, &Setup { log: Some("info"), ..Setup::default() }).await
}

async fn add_user(api: SocketAddr, name: &str, role: &str) -> Result<()> {
    let user = json!({ "name": name, "role": role, "password": PASSWORD });
    let answer = http::call(api, "POST", "/api/v1/users", Some(&user)).await?;
    assert_eq!(answer.status, 201, "{answer:?}");
    Ok(())
}

/// The lines of a head that show a session, and its token.
async fn log_in(api: SocketAddr, name: &str, password: &str) -> Result<(u16, String, String)> {
    let login = json!({ "name": name, "password": password });
    let answer = http::request(api, "POST", "/api/v1/session", Some(&login)).await?;
    let cookie = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    let cookie = cookie.and_then(|line| line.split(';').next()).unwrap_or_default();
    let csrf = answer.json()?["csrf"].as_str().unwrap_or_default().to_owned();
    Ok((answer.status, format!("Cookie: {cookie}\r\n"), csrf))
}

/// Sends these bytes, and gives the status of the answer; `None` if there was none.
async fn raw(server: SocketAddr, bytes: &[u8]) -> Result<Option<u16>> {
    let mut stream = TcpStream::connect(server).await?;
    // A server that has refused reads no more: that is its right.
    let _ = stream.write_all(bytes).await;
    // This end stays open: whoever hangs up is owed no answer.
    let mut answer = Vec::new();
    while !answer.contains(&b'\n') {
        let read = timeout(Duration::from_secs(40), stream.read_buf(&mut answer)).await;
        if read.map_err(|_| Failure::new("no answer"))?.unwrap_or_default() == 0 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&answer).into_owned();
    Ok(text.split(' ').nth(1).and_then(|status| status.parse().ok()))
}

#[test]
fn without_login_nothing_is_readable_but_health() {
    play(async |place| {
        let openfed = start(place).await?;
        let api = openfed.api();
        for path in ["/healthz", "/readyz"] {
            assert_eq!(http::request(api, "GET", path, None).await?.status, 200, "{path}");
        }
        let document = http::get(api, "/api/v1/openapi.json").await?.json()?;
        let paths = document["paths"].as_object().ok_or_else(|| Failure::new("no paths"))?;
        assert!(paths.len() > 15, "the operations are there");
        let mut paths: Vec<_> = paths.keys().map(|path| format!("/api/v1{path}")).collect();
        paths.extend(["/", "/metrics", "/flows", "/login/password"].map(str::to_owned));
        for path in paths {
            let answer = http::request(api, "GET", &path, None).await?;
            assert!([401, 429].contains(&answer.status), "{path}: {answer:?}");
            assert!(!answer.text.contains("items"), "{path}: {answer:?}");
        }
        // The password of the first administrator was told to the console alone.
        let told = || {
            let lines = openfed.log_lines();
            lines.iter().filter(|line| line.contains("log in as \"administrator\"")).count()
        };
        openfed_tests::process::until(async || told() > 0).await?;
        assert_eq!(told(), 1, "{:?}", openfed.log_lines());
        openfed.stop().await
    });
}

#[test]
fn the_first_administrator_logs_in_once_with_the_password_that_was_printed() {
    play(async |place| {
        let openfed = start(place).await?;
        let api = openfed.api();
        let printed = || {
            let lines = openfed.log_lines();
            let at = lines.iter().position(|line| line.contains("log in as \"administrator\""))?;
            lines.get(at + 2).map(|line| line.trim().to_owned())
        };
        openfed_tests::process::until(async || printed().is_some()).await?;
        let password = printed().ok_or_else(|| Failure::new("no password"))?;
        let (status, cookie, csrf) = log_in(api, "administrator", &password).await?;
        assert_eq!(status, 201);
        let session = format!("{cookie}X-Csrf-Token: {csrf}\r\n");
        let nodes = http::send(api, ("GET", "/api/v1/nodes"), &session, None).await?;
        assert_eq!(nodes.status, 403, "{nodes:?}");
        let change = json!({ "old": password, "new": PASSWORD });
        let put = ("PUT", "/api/v1/session/password");
        assert_eq!(http::send(api, put, &session, Some(&change)).await?.status, 200);
        assert_eq!(log_in(api, "administrator", &password).await?.0, 401);
        let (_, cookie, _) = log_in(api, "administrator", PASSWORD).await?;
        let nodes = http::send(api, ("GET", "/api/v1/nodes"), &cookie, None).await?;
        assert_eq!(nodes.status, 200, "{nodes:?}");
        openfed.stop().await
    });
}

#[test]
fn a_viewer_changes_nothing_and_a_forged_request_neither() {
    play(async |place| {
        let openfed = start(place).await?;
        let api = openfed.api();
        add_user(api, "vera", "viewer").await?;
        add_user(api, "ada", "administrator").await?;
        let block = json!({ "domain": "evil.example" });
        let (_, cookie, csrf) = log_in(api, "vera", PASSWORD).await?;
        let vera = format!("{cookie}X-Csrf-Token: {csrf}\r\n");
        let post = ("POST", "/api/v1/blocked-domains");
        assert_eq!(http::send(api, post, &vera, Some(&block)).await?.status, 403);
        // A trial changes nothing, but has us connect to whomever she names.
        let trial = ("POST", "/api/v1/explain/evil.example/trial");
        assert_eq!(http::send(api, trial, &vera, None).await?.status, 403);
        let (_, cookie, csrf) = log_in(api, "ada", PASSWORD).await?;
        for (lines, status) in [
            (cookie.clone(), 403),
            (format!("{cookie}X-Csrf-Token: {}\r\n", "0".repeat(64)), 403),
            (format!("{cookie}X-Csrf-Token: {csrf}\r\nOrigin: http://evil.example\r\n"), 403),
            (format!("{cookie}X-Csrf-Token: {csrf}\r\n"), 201),
        ] {
            let answer = http::send(api, post, &lines, Some(&block)).await?;
            assert_eq!(answer.status, status, "{lines}");
        }
        // An id that was chosen before the login is worth nothing after it.
        let chosen = format!("Cookie: openfed_session={}\r\n", "a".repeat(64));
        let login = json!({ "name": "ada", "password": PASSWORD });
        let begun = http::send(api, ("POST", "/api/v1/session"), &chosen, Some(&login)).await?;
        assert_eq!(begun.status, 201);
        let nodes = http::send(api, ("GET", "/api/v1/nodes"), &chosen, None).await?;
        assert_eq!(nodes.status, 401);
        openfed.stop().await
    });
}

#[test]
fn guessing_passwords_is_slowed_down_and_tells_nothing() {
    play(async |place| {
        let openfed = start(place).await?;
        let api = openfed.api();
        add_user(api, "ada", "administrator").await?;
        // All at once, as a program would guess.
        let guesses = (0..60).map(|number| {
            let guess = format!("wrong password {number}");
            async move { log_in(api, if number % 2 == 0 { "ada" } else { "eve" }, &guess).await }
        });
        let mut looked_at = 0;
        for guess in futures_util::future::join_all(guesses).await {
            match guess?.0 {
                401 => looked_at += 1,
                429 | 503 => {}
                status => return Err(Failure::new(format!("a guess was answered with {status}"))),
            }
        }
        assert!(looked_at <= 6, "{looked_at} of 60 were looked at");
        assert_eq!(log_in(api, "ada", PASSWORD).await?.0, 429, "now the right one waits, too");
        // Tokens go on: nobody is locked out of the machine.
        assert_eq!(http::get(api, "/api/v1/nodes").await?.status, 200);
        openfed.stop().await
    });
}

#[test]
fn hostile_requests_get_an_answer_and_nothing_else() {
    play(async |place| {
        let openfed = start(place).await?;
        let api = openfed.api();
        for path in [
            "/assets/../../../../etc/passwd",
            "/assets/%2e%2e/%2e%2e/etc/passwd",
            "/assets/..%2f..%2fetc%2fpasswd",
            "/assets//etc/passwd",
            "/login/../api/v1/users",
            "/healthz/../api/v1/users",
            "/healthz;/api/v1/users",
            "/%61pi/v1/users",
            "//api/v1/users",
        ] {
            let answer = http::request(api, "GET", path, None).await?;
            assert!([400, 401, 404].contains(&answer.status), "{path}: {answer:?}");
            assert!(!answer.text.contains("root:"), "{path}: {answer:?}");
        }
        let token = format!("Authorization: Bearer {}\r\n", http::TOKEN);
        let post =
            "POST /api/v1/sip-domains HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n";
        let head = format!("{post}{token}");
        let (long, large) = ("x".repeat(200_000), "x".repeat(66_000));
        for (bytes, statuses) in [
            // Larger than any body may be.
            (format!("{head}Content-Length: 99999999999\r\n\r\n"), &[400, 413][..]),
            (format!("{head}Content-Length: 9\r\n\r\n{{\"domain\""), &[400]),
            (format!("{head}Content-Length: 7\r\n\r\n[[[[[[["), &[400, 422]),
            (format!("{head}Content-Length: 4\r\n\r\n\u{1}\u{2}\u{3}\u{4}"), &[400]),
            (format!("GET / HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(500)), &[400, 431]),
            ("NONSENSE\r\n\r\n".to_owned(), &[400]),
        ] {
            let answer = raw(api, bytes.as_bytes()).await?;
            let start = &bytes[..bytes.len().min(60)];
            assert!(answer.is_some_and(|status| statuses.contains(&status)), "{start}: {answer:?}");
        }
        // Whoever sends on after the refusal may miss it.
        for (bytes, statuses) in [
            (format!("{head}Content-Length: 66000\r\n\r\n{large}"), &[413][..]),
            (format!("{head}Transfer-Encoding: chunked\r\n\r\n101d0\r\n{large}\r\n"), &[413]),
            (format!("GET / HTTP/1.1\r\nHost: x\r\nX: {long}\r\n\r\n"), &[400, 431]),
            (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), &[400, 414, 431]),
        ] {
            let answer = raw(api, bytes.as_bytes()).await?;
            assert!(answer.is_none_or(|status| statuses.contains(&status)), "{answer:?}");
        }
        // Two lengths: which of them is meant is nobody's guess.
        let smuggled = format!(
            "{head}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /x HTTP/1.1\r\n\r\n"
        );
        let answer = raw(api, smuggled.as_bytes()).await?;
        assert!(answer.is_none_or(|status| status >= 400), "{answer:?}");
        // After all that, it works as before, and has complained of nothing.
        let domain = json!({ "domain": "a.example" });
        let added = http::call(api, "POST", "/api/v1/sip-domains", Some(&domain)).await?;
        assert_eq!(added.status, 201, "{added:?}");
        let lines = openfed.log_lines();
        assert!(!lines.iter().any(|line| line.contains("panicked")), "{lines:?}");
        openfed.stop().await
    });
}

#[test]
fn two_administrators_who_edit_one_route_do_not_undo_each_other() {
    play(async |place| {
        let openfed = start(place).await?;
        let api = openfed.api();
        let path = "/api/v1/static-routes/.*";
        let shown = http::get(api, path).await?;
        let tag = shown.head.lines().find_map(|line| line.strip_prefix("etag: "));
        let tag = tag.ok_or_else(|| Failure::new("no entity tag"))?.to_owned();
        let lines = format!("Authorization: Bearer {}\r\nIf-Match: {tag}\r\n", http::TOKEN);
        let edit = |text: &str| json!({ "description": text });
        let first = http::send(api, ("PATCH", path), &lines, Some(&edit("first"))).await?;
        assert_eq!(first.status, 200, "{first:?}");
        let second = http::send(api, ("PATCH", path), &lines, Some(&edit("second"))).await?;
        assert_eq!(second.status, 412, "{second:?}");
        assert!(second.text.contains("Somebody else changed it"), "{second:?}");
        let now: Value = http::get(api, path).await?.json()?;
        assert_eq!(now["description"], "first");
        let blind = http::call(api, "PUT", path, Some(&edit("blind"))).await?;
        assert_eq!(blind.status, 428, "{blind:?}");
        openfed.stop().await
    });
}
