//! Who may do what: nobody without login, viewers look, administrators change, and nobody forges.

use serde_json::{Value, json};

use crate::browser::{Browser, JSON, add_user, answer, status};
use crate::stage::Stage;

async fn stage() -> (tempfile::TempDir, Stage) {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    (directory, stage)
}

#[tokio::test]
async fn without_login_nothing_is_readable_but_health() {
    let (_directory, stage) = stage().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&stage.plain("GET", path, "", "").await.0), 200, "{path}");
    }
    let (_, document) = stage.get("/api/v1/openapi.json").await;
    let paths: Vec<&String> = document["paths"].as_object().unwrap().keys().collect();
    assert!(paths.len() > 15, "{paths:?}");
    let more =
        ["/", "/metrics", "/x", "/api/v1/openapi.json", "/api/v1", "/healthz/x", "//healthz"];
    let more = more.iter().map(|path| (*path).to_owned());
    let all = paths.into_iter().map(|path| format!("/api/v1{}", path.replace(['{', '}'], "")));
    for path in all.chain(more) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            if (method, path.as_str()) == ("POST", "/api/v1/session") {
                continue;
            }
            for lines in ["", "Authorization: Bearer x\r\n", "Authorization: Basic eDp4\r\n"] {
                // The stranger's rate is met before the last of these.
                let (head, _) = stage.plain(method, &path, lines, "").await;
                assert!([401, 429].contains(&status(&head)), "{method} {path}: {head}");
            }
        }
    }
    stage.stop().await;
}

#[tokio::test]
async fn whoever_is_refused_is_told_how_to_get_in() {
    let (_directory, stage) = stage().await;
    let (head, body) = stage.plain("GET", "/api/v1/nodes", "Accept: text/html\r\n", "").await;
    assert_eq!(status(&head), 401);
    assert!(head.contains("www-authenticate: Bearer"), "{head}");
    assert!(head.contains("content-type: application/problem+json"), "{head}");
    assert!(body.contains("/api/v1/session"), "{body}");
    let (head, _) = stage.plain("GET", "/flows", "Accept: text/html,*/*\r\n", "").await;
    assert_eq!(status(&head), 303);
    assert!(head.contains("location: /login"), "{head}");
    for line in [
        "content-security-policy: default-src 'none';",
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "cache-control: no-store",
    ] {
        assert!(head.contains(line), "{line} is missing in {head}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_viewer_looks_and_changes_nothing() {
    let (_directory, stage) = stage().await;
    let password = add_user(&stage, "vera", "viewer").await;
    let vera = Browser::log_in(&stage, "Vera", password).await.unwrap();
    assert_eq!(vera.get(&stage, "/api/v1/session").await.1["role"], "viewer");
    for path in ["static-routes", "sip-domains", "blocked-domains", "nodes", "audit", "flows"] {
        assert_eq!(vera.get(&stage, &format!("/api/v1/{path}")).await.0, 200, "{path}");
    }
    let block = json!({ "domain": "evil.example" });
    for (method, path, body) in [
        ("POST", "/api/v1/blocked-domains", block.clone()),
        ("PATCH", "/api/v1/static-routes/.*", json!({ "description": "x" })),
        ("DELETE", "/api/v1/sip-domains/a.example", Value::Null),
        ("GET", "/api/v1/users", Value::Null),
        ("GET", "/api/v1/tokens", Value::Null),
        ("PATCH", "/api/v1/users/vera", json!({ "role": "administrator" })),
    ] {
        assert_eq!(vera.call(&stage, method, path, body).await.0, 403, "{method} {path}");
    }
    // A new role acts at once, in the session that there is.
    let promoted = json!({ "role": "administrator" });
    assert_eq!(stage.call("PATCH", "/api/v1/users/vera", Some(promoted)).await.0, 200);
    assert_eq!(vera.call(&stage, "POST", "/api/v1/blocked-domains", block).await.0, 201);
    let (_, audit) = stage.get("/api/v1/audit?limit=1").await;
    assert_eq!(audit["items"][0]["who"], "vera");
    stage.stop().await;
}

#[tokio::test]
async fn a_change_needs_the_sessions_own_token_and_comes_from_our_own_pages() {
    let (_directory, stage) = stage().await;
    let password = add_user(&stage, "ada", "administrator").await;
    let ada = Browser::log_in(&stage, "ada", password).await.unwrap();
    let other = Browser::log_in(&stage, "ada", password).await.unwrap();
    let cookie = format!("{JSON}Cookie: {}\r\n", ada.cookie);
    let right = format!("{cookie}X-Csrf-Token: {}\r\n", ada.csrf);
    for (lines, expected) in [
        (cookie.clone(), 403),
        (format!("{cookie}X-Csrf-Token: {}\r\n", other.csrf), 403),
        (format!("{cookie}X-Csrf-Token:\r\n"), 403),
        (format!("{right}Sec-Fetch-Site: cross-site\r\n"), 403),
        (format!("{right}Sec-Fetch-Site: same-site\r\n"), 403),
        (format!("{right}Origin: http://evil.example\r\n"), 403),
        (format!("{right}Origin: null\r\n"), 403),
        (format!("{right}Origin: http://{}\r\n", stage.http), 201),
        (format!("{right}Sec-Fetch-Site: same-origin\r\n"), 201),
    ] {
        let body = json!({ "domain": "evil.example" }).to_string();
        let (head, _) = stage.plain("POST", "/api/v1/blocked-domains", &lines, &body).await;
        assert_eq!(status(&head), expected, "{lines}");
    }
    // A form shows it in a field; the gate lets it on, and this API takes no forms.
    let cookie =
        format!("Content-Type: application/x-www-form-urlencoded\r\nCookie: {}\r\n", ada.cookie);
    for (form, expected) in [
        (format!("a=b&csrf={}", ada.csrf), 415),
        (format!("a=b&csrf={}", other.csrf), 403),
        (format!("a=csrf={}", ada.csrf), 403),
        ("a=b".to_owned(), 403),
    ] {
        let (head, _) = stage.plain("POST", "/api/v1/blocked-domains", &cookie, &form).await;
        assert_eq!(status(&head), expected, "{form}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn nobody_is_logged_in_by_a_page_of_somebody_else() {
    let (_directory, stage) = stage().await;
    let password = add_user(&stage, "ada", "viewer").await;
    let json = json!({ "name": "ada", "password": password }).to_string();
    let form = format!("name=ada&password={}", password.replace(' ', "+"));
    let forms = "Content-Type: application/x-www-form-urlencoded\r\n";
    for (path, kind, body, done) in
        [("/api/v1/session", JSON, &json, 201), ("/login", forms, &form, 303)]
    {
        for (origin, expected) in [
            ("Sec-Fetch-Site: cross-site\r\n", 403),
            ("Origin: http://evil.example\r\n", 403),
            ("Sec-Fetch-Site: same-origin\r\n", done),
        ] {
            let (head, _) = stage.plain("POST", path, &format!("{kind}{origin}"), body).await;
            assert_eq!(status(&head), expected, "{path} {origin}");
            assert_eq!(head.contains("set-cookie"), expected == done, "{head}");
        }
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_form_is_no_larger_than_64_kib() {
    let (_directory, stage) = stage().await;
    let password = add_user(&stage, "ada", "administrator").await;
    let ada = Browser::log_in(&stage, "ada", password).await.unwrap();
    let lines =
        format!("Content-Type: application/x-www-form-urlencoded\r\nCookie: {}\r\n", ada.cookie);
    // The last byte is the one too many: nothing is left unread.
    let mut body = format!("csrf={}&name=", ada.csrf);
    body.extend(std::iter::repeat_n('x', 64 * 1024 + 1 - body.len()));
    for path in ["/login", "/api/v1/blocked-domains"] {
        let (head, _) = stage.plain("POST", path, &lines, &body).await;
        assert_eq!(status(&head), 413, "{path}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn every_login_has_an_id_of_its_own_and_logging_out_ends_it() {
    let (_directory, stage) = stage().await;
    let password = add_user(&stage, "ada", "administrator").await;
    // An id that somebody else chose is not taken over.
    let chosen = format!("openfed_session={}", "a".repeat(64));
    let body = json!({ "name": "ada", "password": password }).to_string();
    let lines = format!("{JSON}Cookie: {chosen}\r\n");
    let (head, text) = stage.plain("POST", "/api/v1/session", &lines, &body).await;
    let ada = Browser::of(head, &serde_json::from_str(&text).unwrap());
    assert_ne!(ada.cookie, chosen);
    let fixed = Browser { cookie: chosen, ..ada.clone() };
    assert_eq!(fixed.get(&stage, "/api/v1/nodes").await.0, 401);
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"] {
        assert!(ada.head.contains(attribute), "{attribute}: {}", ada.head);
    }
    assert!(!ada.head.contains("; Secure"), "{}", ada.head);
    let lines = format!("{JSON}X-Forwarded-Proto: https\r\n");
    let (head, _) = stage.plain("POST", "/api/v1/session", &lines, &body).await;
    assert!(head.contains("Max-Age=43200; Secure"), "{head}");
    let again = Browser::log_in(&stage, "ada", password).await.unwrap();
    assert_ne!((&again.cookie, &again.csrf), (&ada.cookie, &ada.csrf));
    assert_eq!(ada.call(&stage, "DELETE", "/api/v1/session", Value::Null).await.0, 204);
    assert_eq!(ada.get(&stage, "/api/v1/nodes").await.0, 401);
    assert_eq!(again.get(&stage, "/api/v1/nodes").await.0, 200);
    // A new password ends all sessions, and begins one.
    let change = json!({ "old": password, "new": "another long password" });
    let lines = format!("{JSON}Cookie: {}\r\nX-Csrf-Token: {}\r\n", again.cookie, again.csrf);
    let (head, text) =
        stage.plain("PUT", "/api/v1/session/password", &lines, &change.to_string()).await;
    assert_eq!(status(&head), 200, "{text}");
    let renewed = Browser::of(head, &serde_json::from_str(&text).unwrap());
    assert_eq!(again.get(&stage, "/api/v1/nodes").await.0, 401);
    assert_eq!(renewed.get(&stage, "/api/v1/nodes").await.0, 200);
    assert!(Browser::log_in(&stage, "ada", password).await.is_err());
    stage.stop().await;
}

#[tokio::test]
async fn wrong_passwords_are_answered_alike_and_soon_not_at_all() {
    let (_directory, stage) = stage().await;
    let password = add_user(&stage, "ada", "viewer").await;
    let mut answers = Vec::new();
    for name in ["ada", "nobody", "ada", "nobody", "x"] {
        answers.push(Browser::log_in(&stage, name, "wrong password").await.err().unwrap());
    }
    assert_eq!(answers[0].0, 401);
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
    let last = Browser::log_in(&stage, "ada", "wrong password").await.err().unwrap();
    assert_eq!(last.0, 401, "the last one that is looked at");
    // From now on even the right one has to wait.
    let (status, problem) = Browser::log_in(&stage, "ada", password).await.err().unwrap();
    assert_eq!((status, problem["title"].as_str()), (429, Some("Too many wrong passwords")));
    let body = json!({ "name": "ada", "password": password }).to_string();
    let (head, _) = stage.plain("POST", "/api/v1/session", JSON, &body).await;
    let wait = head.lines().find_map(|line| line.strip_prefix("retry-after: ")).unwrap();
    assert!((1..=3).contains(&wait.parse::<u32>().unwrap()), "{wait}");
    stage.stop().await;
}

#[tokio::test]
async fn whoever_mistypes_now_and_then_is_not_kept_waiting() {
    let (_directory, stage) = stage().await;
    let password = add_user(&stage, "ada", "viewer").await;
    for _ in 0..4 {
        for _ in 0..2 {
            let (status, _) = Browser::log_in(&stage, "ada", "mistyped").await.err().unwrap();
            assert_eq!(status, 401);
        }
        assert!(Browser::log_in(&stage, "ada", password).await.is_ok());
    }
    stage.stop().await;
}

#[tokio::test]
async fn a_one_time_password_lets_nothing_be_done_but_change_it() {
    let (_directory, stage) = stage().await;
    let body = json!({ "name": "ada", "role": "administrator" });
    let (status, user) = stage.call("POST", "/api/v1/users", Some(body)).await;
    let once = user["password"].as_str().unwrap();
    assert_eq!((status, &user["one_time"]), (201, &json!(true)));
    let ada = Browser::log_in(&stage, "ada", once).await.unwrap();
    assert_eq!(ada.get(&stage, "/api/v1/nodes").await.0, 403);
    let shown = ada.call(&stage, "GET", "/api/v1/session", Value::Null).await;
    assert_eq!((shown.0, &shown.1["must_change_password"]), (200, &json!(true)));
    for (new, expected) in [("short", 422), (once, 422), ("a password of my own", 200)] {
        let change = json!({ "old": once, "new": new });
        let answer = ada.call(&stage, "PUT", "/api/v1/session/password", change).await;
        assert_eq!(answer.0, expected, "{answer:?}");
    }
    let ada = Browser::log_in(&stage, "ada", "a password of my own").await.unwrap();
    assert_eq!(ada.get(&stage, "/api/v1/nodes").await.0, 200);
    let shown = ada.call(&stage, "GET", "/api/v1/session", Value::Null).await;
    assert_eq!(shown.1["must_change_password"], json!(false));
    stage.stop().await;
}

#[tokio::test]
async fn a_token_does_what_its_scopes_say_until_it_is_removed() {
    let (_directory, stage) = stage().await;
    let body = json!({ "name": "ci", "scopes": ["domains"] });
    let (status, token) = stage.call("POST", "/api/v1/tokens", Some(body.clone())).await;
    assert_eq!(status, 201, "{token}");
    assert_eq!(stage.call("POST", "/api/v1/tokens", Some(body)).await.0, 409, "names are unique");
    let secret = token["secret"].as_str().unwrap();
    let call = async |method: &str, path: &str, body: &str| {
        let lines = format!("{JSON}Authorization: Bearer {secret}\r\n");
        answer(stage.plain(method, path, &lines, body).await).0
    };
    let domain = json!({ "domain": "a.example" }).to_string();
    assert_eq!(call("POST", "/api/v1/sip-domains", &domain).await, 201);
    assert_eq!(call("GET", "/api/v1/sip-domains", "").await, 200);
    assert_eq!(call("GET", "/api/v1/static-routes", "").await, 403);
    assert_eq!(call("POST", "/api/v1/users", "{}").await, 403);
    let (_, audit) = stage.get("/api/v1/audit?limit=1").await;
    assert_eq!(audit["items"][0]["who"], "token:ci");
    let (_, list) = stage.get("/api/v1/tokens").await;
    let shown = &list["items"][0];
    assert!(shown.get("secret").is_none() && shown.get("digest").is_none(), "{shown}");
    assert_eq!(stage.call("DELETE", "/api/v1/tokens/ci", None).await.0, 204);
    assert_eq!(call("GET", "/api/v1/sip-domains", "").await, 401);
    for scopes in [json!([]), json!(["root"]), json!("read"), json!(null)] {
        let body = json!({ "name": "bad", "scopes": scopes });
        assert_eq!(stage.call("POST", "/api/v1/tokens", Some(body)).await.0, 422, "{scopes}");
    }
    stage.stop().await;
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let (_directory, stage) = stage().await;
    add_user(&stage, "ada", "administrator").await;
    let demoted = json!({ "role": "viewer" });
    assert_eq!(stage.call("PATCH", "/api/v1/users/ada", Some(demoted.clone())).await.0, 409);
    assert_eq!(stage.call("DELETE", "/api/v1/users/ada", None).await.0, 409);
    add_user(&stage, "bob", "administrator").await;
    assert_eq!(stage.call("PATCH", "/api/v1/users/ada", Some(demoted)).await.0, 200);
    assert_eq!(stage.call("DELETE", "/api/v1/users/bob", None).await.0, 409);
    assert_eq!(stage.call("DELETE", "/api/v1/users/ada", None).await.0, 204);
    stage.stop().await;
}

#[tokio::test]
async fn too_many_requests_are_told_when_to_come_back() {
    let (_directory, stage) = stage().await;
    let mut refused = None;
    for _ in 0..200 {
        let (head, _) = stage.plain("GET", "/api/v1/nodes", "", "").await;
        if status(&head) == 429 {
            refused = Some(head);
            break;
        }
    }
    let head = refused.expect("a stranger is refused at some time");
    assert!(head.contains("retry-after: 1"), "{head}");
    assert_eq!(stage.get("/api/v1/nodes").await.0, 200, "others are not");
    stage.stop().await;
}

#[tokio::test]
async fn whoever_is_known_has_a_rate_too_and_each_their_own() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::with(directory.path(), |settings| {
        settings.router.requests_per_second = 1;
    })
    .await;
    let password = add_user(&stage, "vera", "viewer").await;
    let vera = Browser::log_in(&stage, "vera", password).await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(vera.get(&stage, "/api/v1/nodes").await.0);
    }
    assert_eq!(statuses[..5], [200; 5]);
    assert!(statuses.contains(&429), "{statuses:?}");
    assert_eq!(stage.get("/api/v1/nodes").await.0, 200, "others are not");
    stage.stop().await;
}
