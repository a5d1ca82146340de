//! Scenes: an operator types a command, the API is asked exactly this, the operator reads that.

#![allow(clippy::unwrap_used, reason = "a scene that cannot be set fails")]

#[path = "support/script.rs"]
mod script;

use std::os::unix::fs::PermissionsExt;
use std::process::ExitCode;

use axum::http::Method;
use clap::{CommandFactory, Parser};
use openfed::cli::{Cli, Failure};
use script::{Script, run};
use serde_json::{Value, json};

/// The command succeeds and prints exactly this.
#[track_caller]
fn prints((ended, printed): (Result<(), Failure>, String), expected: &str) {
    ended.unwrap();
    assert_eq!(printed, expected);
}

fn open_route(blocked: bool) -> Value {
    json!({
        "pattern": ".*", "description": "", "next_hop": "sbc.example.net", "port": 5060,
        "type": "domain", "protocol": "udp", "priority": 1, "weight": 1,
        "allow_less_specific": true, "in_service": true, "blocked": blocked, "predefined": true,
        "version": 3
    })
}

/// The words of a command as a shell takes them: quotes hold together, # ends it.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            '#' if !quoted => break,
            ' ' if !quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn every_command_in_the_guides_is_one() {
    for guide in ["README.md", "deploy/README.md"] {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(guide);
        let text = std::fs::read_to_string(file).unwrap();
        let code = text.split("```").enumerate().flat_map(|(number, part)| {
            let is_block = number % 2 == 1;
            let lines = part.lines().filter(move |_| is_block);
            lines.chain(part.split('`').skip(1).step_by(2).filter(move |_| !is_block))
        });
        let commands: Vec<&str> = code.filter(|part| part.starts_with("openfed ")).collect();
        assert!(!commands.is_empty(), "{guide}");
        for command in commands {
            if let Err(error) = Cli::try_parse_from(words(command)) {
                panic!("{guide}: {command}: {error}");
            }
        }
    }
}

#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}

#[tokio::test]
async fn the_operator_opens_the_federation() {
    let change = json!({
        "next_hop": "sbc.example.net", "port": 5060, "protocol": "udp", "blocked": false
    });
    let script = Script::default().expect(
        Method::PATCH,
        "/api/v1/static-routes/.%2A",
        change,
        (200, open_route(false)),
    );
    let command = "route set .* --next-hop sbc.example.net --port 5060 --protocol udp --unblock";
    prints(
        script.run(&command.split(' ').collect::<Vec<_>>()).await,
        "\
Destination Pattern        .*
Description                -
Next Hop                   sbc.example.net
Next Hop Port              5060
Route Type                 domain
Protocol Type              udp
Priority                   1
Weight                     1
Allow Less-Specific Route  on
Service                    on
Block Route                no
",
    );
}

#[tokio::test]
async fn after_a_start_one_block_says_what_runs_and_what_is_missing() {
    let home = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let home = home.local_addr().unwrap();
    let file = file(
        "welcome.toml",
        &format!(
            "[domains]\nlocal = [\"corp.example\"]\n[[xmpp.home]]\ndomain = \"corp.example\"\n\
             address = \"{home}\"\n[[front.pass]]\nlisten = \"tcp:0.0.0.0:15269\"\n\
             to = \"xmpp-cm:5269\"\n"
        ),
    );
    let nodes = json!({ "items": [
        { "node": "a", "role": "xcp-router", "in_flight": 0, "draining": false },
        { "node": "b", "role": "sip-cm", "in_flight": 0, "draining": false },
        { "node": "c", "role": "sip-cm", "in_flight": 0, "draining": false },
    ]});
    let mut open = open_route(true);
    open["next_hop"] = json!("");
    let script = Script::default().get("/api/v1/nodes", nodes);
    let script = script.get("/api/v1/static-routes", json!({ "items": [open] }));
    let (ended, printed) = script
        .run(&["welcome", "--config", &file, "--run", "in-container", "--console", "http://here"])
        .await;
    std::fs::remove_file(file).unwrap();
    ended.unwrap();
    for part in [
        "openfed runs for corp.example: 2 sip-cm, 0 xmpp-cm, 1 xcp-router",
        "SIP       port 5060, by UDP and TCP",
        "XMPP      port 15269, from server to server",
        "console   http://here",
        "- no xmpp-cm is linked",
        "- no SIP server of yours speaks for your users: [sip] trusted in the settings",
        "- the open route has no next hop: in-container openfed route set '.*' --next-hop",
        "See it play, with people on both sides: openfed demo",
    ] {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    assert!(!printed.contains("takes no connection"), "{printed}");
}

#[tokio::test]
async fn a_refusal_names_each_field_and_ends_with_1() {
    let problem = json!({
        "type": "about:blank", "title": "The route cannot be unblocked", "status": 422,
        "detail": "it does not know where to send",
        "errors": [{ "pointer": "#/next_hop", "detail": "is missing" },
                   { "field": "port", "message": "is missing" }]
    });
    let script = Script::default().expect(
        Method::PATCH,
        "/api/v1/static-routes/.%2A",
        json!({ "blocked": false }),
        (422, problem),
    );
    let (ended, printed) = script.run(&["route", "unblock", ".*"]).await;
    assert_eq!(
        ended.unwrap_err().to_string(),
        "The route cannot be unblocked: it does not know where to send\n  \
         next_hop: is missing\n  port: is missing"
    );
    assert_eq!(printed, "");
}

#[tokio::test]
async fn blocking_and_unblocking_say_what_they_do() {
    for (word, blocked, effect) in [
        ("block", true, ".*: no new domains are discovered; known ones keep flowing.\n"),
        ("unblock", false, ".*: unknown domains are discovered from now on.\n"),
    ] {
        let script = Script::default().expect(
            Method::PATCH,
            "/api/v1/static-routes/%2A",
            json!({ "blocked": blocked }),
            (200, open_route(blocked)),
        );
        prints(script.run(&["route", word, "*"]).await, effect);
    }
}

#[tokio::test]
async fn a_route_is_added_listed_and_removed() {
    let body = json!({
        "pattern": ".com.example.*", "type": "domain", "next_hop": "192.0.2.7", "port": 0,
        "in_service": false, "allow_less_specific": true, "priority": 2, "weight": 5
    });
    let mut route = open_route(false);
    route["pattern"] = json!(".com.example.*");
    route["predefined"] = json!(false);
    let script =
        Script::default().expect(Method::POST, "/api/v1/static-routes", body, (201, route));
    let command = "route add .com.example.* --next-hop 192.0.2.7 --port 0 --service off \
                   --less-specific on --priority 2 --weight 5";
    let (ended, _) = script.run(&command.split_whitespace().collect::<Vec<_>>()).await;
    ended.unwrap();

    let mut fresh = open_route(true);
    fresh["next_hop"] = json!("");
    fresh["port"] = json!(0);
    let script = Script::default().get("/api/v1/static-routes", json!({ "items": [fresh] }));
    prints(
        script.run(&["route", "list"]).await,
        "\
PATTERN  NEXT HOP  PORT  PROTOCOL  PRIORITY  WEIGHT  SERVICE  BLOCKED
.*       -         SRV   udp       1         1       on       blocked
",
    );

    let script = Script::default().expect(
        Method::DELETE,
        "/api/v1/static-routes/.com.example.%2A",
        Value::Null,
        (204, Value::Null),
    );
    prints(
        script.run(&["route", "remove", ".com.example.*"]).await,
        ".com.example.* is removed, on every node.\n",
    );
}

#[tokio::test]
async fn a_password_comes_from_a_file_and_is_never_shown() {
    let name = format!("openfed-password-{}", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, "s e c r e t\n").unwrap();
    let mut route = open_route(false);
    route["credentials"] = json!({ "username": "gateway" });
    let patch = |change: Value| {
        let change = json!({ "credentials": change });
        let path = "/api/v1/static-routes/.%2A";
        Script::default().expect(Method::PATCH, path, change, (200, route.clone()))
    };
    let script = patch(json!({ "username": "gateway", "password": "s e c r e t" }));
    let named = ["route", "set", ".*", "--username", "gateway"];
    let with_file = [&named[..], &["--password-file", file.to_str().unwrap()]].concat();
    let (ended, printed) = script.run(&with_file).await;
    std::fs::remove_file(&file).unwrap();
    ended.unwrap();
    assert!(printed.ends_with("User Name                  gateway\n"), "{printed}");
    assert!(!printed.contains("s e c r e t"));
    // The name alone leaves the password; neither is left by --no-credentials.
    patch(json!({ "username": "gateway" })).run(&named).await.0.unwrap();
    patch(Value::Null).run(&["route", "set", ".*", "--no-credentials"]).await.0.unwrap();
    let missing = [&named[..], &["--password-file", "/no/such/file"]].concat();
    let (ended, _) = Script::default().run(&missing).await;
    assert!(ended.unwrap_err().to_string().starts_with("/no/such/file cannot be read"));
}

#[tokio::test]
async fn the_domain_table_is_walked_page_by_page() {
    let row = |domain: &str| {
        json!({
            "domain": domain, "description": "", "origin": "discovered",
            "first_seen": "2026-11-20T10:00:00Z", "last_seen": "2026-11-21T10:00:00Z",
            "direction": "outbound", "route": ".*", "hits": 7, "last_failure": null,
            "finding": if domain == "a.example" { "silent" } else { "absent" },
            "proven": domain != "a.example"
        })
    };
    let pages = || {
        Script::default()
            .get(
                "/api/v1/sip-domains?limit=500&search=ex%20a",
                json!({ "items": [row("a.example")], "next_cursor": "a/1", "total": 2 }),
            )
            .get(
                "/api/v1/sip-domains?limit=500&search=ex%20a&cursor=a%2F1",
                json!({ "items": [row("b.example")], "next_cursor": null, "total": 2 }),
            )
    };
    let command = ["domain", "list", "--search", "ex a", "--limit", "0"];
    prints(
        pages().run(&command).await,
        "\
DOMAIN     ORIGIN      DIRECTION  ROUTE  FIRST SEEN            LAST SEEN             HITS  FAILURE  FINDING
a.example  discovered  outbound   .*     2026-11-20T10:00:00Z  2026-11-21T10:00:00Z  7     -        silent (unproven)
b.example  discovered  outbound   .*     2026-11-20T10:00:00Z  2026-11-21T10:00:00Z  7     -        absent
",
    );
    let (ended, printed) = pages().run(&[&command[..], &["--json"]].concat()).await;
    ended.unwrap();
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed["items"], json!([row("a.example"), row("b.example")]));
}

#[tokio::test]
async fn removing_a_domain_says_whether_it_comes_back() {
    for (blocked, effect) in [
        (true, "a.example is removed; the open route is closed, so its traffic stops now.\n"),
        (
            false,
            "a.example is removed; the open route is open, so its next message discovers it \
             again. To keep it out: openfed domain block a.example\n",
        ),
    ] {
        let script = Script::default()
            .expect(
                Method::DELETE,
                "/api/v1/sip-domains/a.example",
                Value::Null,
                (204, Value::Null),
            )
            .get("/api/v1/static-routes/.%2A", open_route(blocked));
        prints(script.run(&["domain", "remove", "a.example"]).await, effect);
    }
}

#[tokio::test]
async fn domains_are_blocked_and_pinned_with_a_note() {
    let noted = |domain: &str| json!({ "domain": domain, "note": "spam" });
    let script = Script::default().expect(
        Method::POST,
        "/api/v1/blocked-domains",
        noted("*.example.com"),
        (201, noted("*.example.com")),
    );
    prints(
        script.run(&["domain", "block", "*.example.com", "--note", "spam"]).await,
        "*.example.com is denied in both directions.\n",
    );
    let script =
        Script::default().get("/api/v1/xmpp-domains", json!({ "items": [noted("x.example")] }));
    prints(script.run(&["domain", "list", "--pinned"]).await, "DOMAIN     NOTE\nx.example  spam\n");
    let script = Script::default().expect(
        Method::DELETE,
        "/api/v1/xmpp-domains/x.example",
        Value::Null,
        (204, Value::Null),
    );
    prints(
        script.run(&["domain", "unpin", "x.example"]).await,
        "x.example may be reached over SIP, too.\n",
    );
}

#[tokio::test]
async fn a_decision_is_explained_step_by_step() {
    let answer = json!({
        "domain": "new.example", "decision": "discover",
        "steps": [{ "step": 1, "question": "Is it one of ours?", "answer": "no", "rule": "§3.1" },
                  { "step": 2, "question": "Is it blocked?", "answer": "no", "rule": "§3.3" }]
    });
    let script = Script::default().get("/api/v1/explain/new.example", answer);
    prints(
        script.run(&["explain", "new.example"]).await,
        "\
new.example: discover (unknown: XMPP is tried first; the steps say what follows)

   QUESTION            ANSWER  RULE
1  Is it one of ours?  no      §3.1
2  Is it blocked?      no      §3.3
",
    );
}

fn flow() -> Value {
    json!({
        "packet_id": "00ff", "started": "2026-11-20T10:00:00.000Z", "domain": "new.example",
        "direction": "outbound", "decision": "discover", "outcome": null, "trace_id": "abcd",
        "hops": [
            { "node": "a-sip-cm", "role": "sip-cm", "verdict": "unknown", "at_us": 1_000_000 },
            { "node": "a-xcp-router", "role": "xcp-router", "verdict": "discover", "at_us": 1_001_250 }
        ]
    })
}

const FLOW: &str = "\
2026-11-20T10:00:00.000Z  outbound  new.example  discover → under way
    +0.000 ms  sip-cm      unknown  (a-sip-cm)
    +1.250 ms  xcp-router  discover  (a-xcp-router)
  packet 00ff  trace abcd
";

#[tokio::test]
async fn flows_are_drawn_hop_by_hop() {
    let script = Script::default().get("/api/v1/flows?limit=3", json!({ "items": [flow()] }));
    prints(script.run(&["flows", "--limit", "3"]).await, FLOW);
}

#[tokio::test]
async fn flows_are_followed_as_they_pass() {
    let stream = format!(": keep-alive\n\ndata: {}\n\ndata: {}\n\n", flow(), flow());
    let script = || Script::default().get("/api/v1/flows/stream", json!(stream));
    let end = "The router has ended the stream.\n";
    prints(script().run(&["flows", "--follow"]).await, &format!("{FLOW}{FLOW}{end}"));
    let lines = format!("{}\n{}\n", flow(), flow());
    prints(script().run(&["flows", "--follow", "--json"]).await, &lines);
}

#[tokio::test]
async fn nodes_show_load_and_drain() {
    let node = json!({
        "node": "a-sip-cm", "role": "sip-cm", "version": "0.1.0", "address": "127.0.0.1:40000",
        "up_since": "2026-11-20T10:00:00Z", "in_flight": 4, "draining": true
    });
    let script = Script::default().get("/api/v1/nodes", json!({ "items": [node] }));
    prints(
        script.run(&["nodes"]).await,
        "\
NODE      ROLE    VERSION  ADDRESS          UP SINCE              IN FLIGHT  STATE
a-sip-cm  sip-cm  0.1.0    127.0.0.1:40000  2026-11-20T10:00:00Z  4          draining
",
    );
}

#[tokio::test]
async fn a_node_is_drained_and_resumed() {
    let path = "/api/v1/nodes/a-sip-cm";
    let change = |draining: bool| {
        let body = json!({ "draining": draining });
        Script::default().expect(Method::PATCH, path, body, (200, json!({ "node": "a-sip-cm" })))
    };
    let drained = change(true).run(&["nodes", "drain", "a-sip-cm"]).await;
    prints(drained, "a-sip-cm drains: nothing new goes to it.\n");
    for word in ["resume", "undrain"] {
        prints(change(false).run(&["nodes", word, "a-sip-cm"]).await, "a-sip-cm serves.\n");
    }
}

/// A file of this test with this content.
fn file(name: &str, content: &str) -> String {
    let file = std::env::temp_dir().join(format!("openfed-{}-{name}", std::process::id()));
    std::fs::write(&file, content).unwrap();
    file.to_string_lossy().into_owned()
}

const TABLE: &str = "domain,description\na.example,one\nb.example,two\n";
const CHECK: &str = "/api/v1/sip-domains/import?dry_run=true";
const IMPORT: &str = "/api/v1/sip-domains/import?dry_run=false";

#[tokio::test]
async fn a_file_is_checked_and_then_imported() {
    let file = file("import.csv", TABLE);
    let counts = json!({ "rows": 2, "added": 1, "configured": 1, "unchanged": 0, "dry_run": true });
    let check =
        || Script::default().expect(Method::POST, CHECK, json!(TABLE), (200, counts.clone()));
    let script = check().expect(Method::POST, IMPORT, json!(TABLE), (200, counts.clone()));
    let counted = "Of 2 rows, 1 added, 1 made configured, 0 left as they are.\n";
    prints(script.run(&["domain", "import", &file]).await, counted);
    prints(
        check().run(&["domain", "import", &file, "--dry-run"]).await,
        "Of 2 rows, 1 would be added, 1 would be made configured, 0 would be left as they are.\n",
    );
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn faults_are_named_by_file_and_line_and_nothing_is_changed() {
    let file = file("faults.csv", TABLE);
    let problem = json!({
        "title": "Some lines need to be corrected",
        "status": 422,
        "detail": "2 lines have faults.",
        "errors": [
            { "field": "line 3", "message": "domain: is empty" },
            { "field": "line 17", "message": "is not UTF-8" },
        ],
    });
    let script = Script::default().expect(Method::POST, CHECK, json!(TABLE), (422, problem));
    let (ended, out) = script.run(&["domain", "import", &file]).await;
    let failure = ended.unwrap_err();
    let told = format!("{file}:3: domain: is empty\n{file}:17: is not UTF-8\n2 lines have faults.");
    assert_eq!((failure.to_string(), out), (told, String::new()));
    assert_eq!(format!("{:?}", failure.exit_code()), format!("{:?}", ExitCode::from(65)));
    std::fs::remove_file(&file).unwrap();

    let missing = Script::default().run(&["domain", "import", &file]).await.0.unwrap_err();
    assert!(missing.to_string().contains("cannot be read"), "{missing}");
}

#[tokio::test]
async fn an_export_is_printed_or_written_as_a_whole() {
    let page = json!({ "items": [], "total": 2 });
    let export = |search: &'static str| {
        let (first, all): (&str, &str) = match search {
            "" => ("/api/v1/sip-domains?limit=1&search=", "/api/v1/sip-domains/export?search="),
            _ => ("/api/v1/sip-domains?limit=1&search=a", "/api/v1/sip-domains/export?search=a"),
        };
        Script::default().get(first, page.clone()).get(all, json!(TABLE))
    };
    prints(export("").run(&["domain", "export"]).await, TABLE);
    prints(export("a").run(&["domain", "export", "--search", "a", "-"]).await, TABLE);
    let file = file("export.csv", "what was there");
    prints(export("").run(&["domain", "export", &file]).await, "");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), TABLE);

    // An export that is refused leaves the file as it was.
    let gone = (503, json!({ "title": "The store does not answer", "status": 503 }));
    let script = Script::default().get("/api/v1/sip-domains?limit=1&search=", page.clone());
    let path = "/api/v1/sip-domains/export?search=";
    let script = script.expect(Method::GET, path, Value::Null, gone);
    let (ended, _) = script.run(&["domain", "export", &file]).await;
    assert_eq!(ended.unwrap_err().to_string(), "The store does not answer");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), TABLE);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn a_backup_is_a_whole_one_that_only_its_owner_can_read() {
    let lines = "{\"kind\":\"openfed-backup\"}\n{\"kind\":\"end\",\"lines\":2}\n";
    let backup = |text: &str| Script::default().get("/api/v1/backup", json!(text));
    // What another program has left there, for everybody to read, is not written to.
    let (target, part) = (file("backup", "what was there"), file("backup.part", "old"));
    let command = ["backup", target.as_str()];
    prints(backup(lines).run(&command).await, &format!("2 lines are in {target}.\n"));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), lines);
    let mode = std::fs::metadata(&target).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "{mode:o}");
    // One that breaks off leaves the file as it was.
    let half = lines.lines().next().unwrap().to_owned() + "\n";
    let (ended, _) = backup(&half).run(&command).await;
    assert!(ended.unwrap_err().to_string().contains("broke off"));
    assert_eq!(std::fs::read_to_string(&target).unwrap(), lines);
    assert!(!std::path::Path::new(&part).exists());
    std::fs::remove_file(target).unwrap();
}

#[tokio::test]
async fn an_api_that_is_not_there_or_not_ours_is_told_apart() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (ended, _) = run(&["--api", &format!("http://{free}"), "nodes"]).await;
    let text = ended.unwrap_err().to_string();
    assert!(text.contains("no openfed API answers") && text.contains("--api"), "{text}");

    let script = Script::default().get("/api/v1/nodes", json!([1]));
    let text = script.run(&["nodes"]).await.0.unwrap_err().to_string();
    assert!(text.contains("is not openfed's API"), "{text}");
}

#[tokio::test]
async fn the_settings_file_says_where_the_api_is() {
    let directory = std::env::temp_dir().join(format!("openfed-command-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let file = directory.join("openfed.toml");
    let text = format!(
        "[domains]\nlocal = [\"corp.example\"]\n[router]\nhttp = \"0.0.0.0:{}\"\n\
         insecure_http = true\n",
        free.port()
    );
    std::fs::write(&file, text).unwrap();
    let config = file.to_str().unwrap();
    let (ended, _) = run(&["--config", config, "nodes"]).await;
    let text = ended.unwrap_err().to_string();
    assert!(text.contains(&free.to_string()), "{text}");

    std::fs::write(&file, "[router]\nhttp = 7\n").unwrap();
    let (ended, _) = run(&["--config", config, "nodes"]).await;
    assert!(matches!(ended, Err(Failure::Settings(_))));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn wrong_command_lines_are_usage_errors() {
    for arguments in [
        "route set .*",
        "route set .* --block --unblock",
        "route set .* --port 70000",
        "route set .* --priority 0",
        "route set .* --protocol smtp",
        "domain list --blocked --pinned",
        "flows --follow --limit 3",
        "--api https://router.example nodes",
        "explain",
    ] {
        let words = std::iter::once("openfed").chain(arguments.split(' '));
        let error = Cli::try_parse_from(words).expect_err(arguments);
        assert_eq!(error.exit_code(), 2, "{arguments}");
    }
}

#[test]
fn the_process_ends_with_the_documented_code() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    for (arguments, code) in [
        (vec!["--help"], 0),
        (vec!["route"], 2),
        (vec!["--config", "/nonexistent/openfed.toml", "nodes"], 64),
        (vec!["--api", &nobody, "nodes"], 69),
    ] {
        let ended = std::process::Command::new(env!("CARGO_BIN_EXE_openfed"))
            .args(&arguments)
            .output()
            .unwrap();
        assert_eq!(ended.status.code(), Some(code), "{arguments:?}");
    }
}

#[tokio::test]
async fn users_and_tokens_are_made_and_their_secrets_printed_once() {
    let user = json!({
        "name": "ada", "role": "administrator", "created": "2026-11-22T20:47:03Z",
        "one_time": true, "password": "abcde-fghij-klmno-pqrst",
    });
    let body = json!({ "name": "ada", "role": "administrator" });
    let script = Script::default().expect(Method::POST, "/api/v1/users", body, (201, user.clone()));
    prints(
        script.run(&["admin", "user", "add", "ada", "--role", "administrator"]).await,
        "\
ada (administrator) logs in once with this password, and changes it:
abcde-fghij-klmno-pqrst
",
    );
    let script = Script::default().expect(
        Method::PATCH,
        "/api/v1/users/ada",
        json!({ "new_password": true }),
        (200, user.clone()),
    );
    let (ended, printed) = script.run(&["admin", "user", "password", "ada"]).await;
    ended.unwrap();
    assert!(printed.contains("abcde-fghij"), "{printed}");

    let token = json!({
        "id": "1f", "name": "ci", "scopes": ["read", "domains"],
        "created": "2026-11-22T20:47:03Z", "last_used": null, "secret": "openfed_1f_s",
    });
    let body = json!({ "name": "ci", "scopes": ["read", "domains"] });
    let script =
        Script::default().expect(Method::POST, "/api/v1/tokens", body, (201, token.clone()));
    let command = ["admin", "token", "add", "ci", "--scope", "read,domains"];
    prints(script.run(&command).await, "openfed_1f_s\n");

    let script = Script::default().get("/api/v1/tokens", json!({ "items": [token] }));
    prints(
        script.run(&["admin", "token", "list"]).await,
        "\
NAME  ID  SCOPES        CREATED               LAST USED
ci    1f  read,domains  2026-11-22T20:47:03Z  -
",
    );
    let script = Script::default().expect(
        Method::DELETE,
        "/api/v1/tokens/ci",
        Value::Null,
        (204, Value::Null),
    );
    prints(script.run(&["admin", "token", "remove", "ci"]).await, "ci is refused from now on.\n");
}

#[tokio::test]
async fn a_list_is_followed_to_its_end() {
    let page = |name: &str, next: Value| json!({ "items": [{ "domain": name, "note": null }], "next_cursor": next });
    let script = Script::default()
        .get("/api/v1/blocked-domains", page("a.example", json!("*.x")))
        .get("/api/v1/blocked-domains?cursor=%2A.x", page("b.example", Value::Null));
    prints(
        script.run(&["domain", "list", "--blocked"]).await,
        "\
DOMAIN     NOTE
a.example  -
b.example  -
",
    );
}

#[tokio::test]
async fn whoever_is_refused_hears_why_no_token_was_shown() {
    let problem = json!({ "title": "Nobody is logged in", "status": 401 });
    let script =
        Script::default().expect(Method::GET, "/api/v1/nodes", Value::Null, (401, problem));
    let directory = std::env::temp_dir().join(format!("openfed-token-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let file = directory.join("openfed.toml");
    std::fs::write(&file, "domains.local = [\"a.example\"]\nstore.url = \"redis://x:1/0\"\n")
        .unwrap();
    let config = file.to_str().unwrap();
    let failure = script.run(&["--config", config, "nodes"]).await.0.unwrap_err();
    let text = failure.to_string();
    assert!(text.contains("Nobody is logged in") && text.contains("--token-file"), "{text}");
    assert_eq!(format!("{:?}", failure.exit_code()), format!("{:?}", ExitCode::from(77)));

    let missing = directory.join("no.token");
    let command = ["--token-file", missing.to_str().unwrap(), "nodes"];
    assert!(matches!(run(&command).await.0, Err(Failure::Unreadable { .. })));
    std::fs::remove_dir_all(directory).unwrap();
}

#[tokio::test]
async fn the_audit_shows_what_changed() {
    let entry = json!({
        "number": 7, "at": "2026-11-22T20:47:03.000000Z", "who": "ada",
        "action": "change static route", "subject": ".*",
        "before": { "blocked": true, "port": 5060, "version": 1 },
        "after": { "blocked": false, "port": 5060, "version": 2 },
    });
    let script = Script::default().get("/api/v1/audit?limit=50", json!({ "items": [entry] }));
    prints(
        script.run(&["audit"]).await,
        "\
WHEN                         WHO  WHAT                 OF  CHANGED
2026-11-22T20:47:03.000000Z  ada  change static route  .*  blocked: true → false
",
    );
}

#[tokio::test]
async fn shells_and_man_are_told_of_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (ended, printed) = run(&["completions", shell]).await;
        ended.unwrap();
        for word in ["route", "admin", "backup", "token-file"] {
            assert!(printed.contains(word), "{shell}: {word}");
        }
    }
    let directory = std::env::temp_dir().join(format!("openfed-man-{}", std::process::id()));
    let (ended, printed) = run(&["man", directory.to_str().unwrap()]).await;
    ended.unwrap();
    assert!(printed.contains("pages are in"), "{printed}");
    for page in ["openfed.1", "openfed-route-set.1", "openfed-admin-user-add.1"] {
        let text = std::fs::read_to_string(directory.join(page)).unwrap();
        assert!(text.contains(".TH "), "{page}");
    }
    let text = std::fs::read_to_string(directory.join("openfed.1")).unwrap();
    assert!(text.contains("Exit codes") && text.contains("77"), "{text}");
    std::fs::remove_dir_all(directory).unwrap();
}
