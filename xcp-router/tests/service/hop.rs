//! The documented hop over real links.

use std::time::Duration;

use openfed_node::settings::Settings;
use openfed_proto::condition::Condition;
use openfed_proto::finding::Finding;
use openfed_proto::link::{FromCm, FromRouter, Instruction};
use openfed_proto::packet::{Cause, Ending, Failure, Protocol, Role};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::stage::{Manager, Stage, message};

fn not_found() -> Ending {
    Ending::Failed(Failure::new(Condition::RemoteServerNotFound, Cause::NotFound))
}

fn delivered() -> Ending {
    Ending::Delivered { by: Protocol::Sip, status: 200 }
}

#[tokio::test]
async fn the_documented_hop_makes_a_row_that_outlives_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    stage.open().await;
    let mut sip = Manager::link(stage.link, Role::SipCm, "sip-1").await;
    let mut xmpp = Manager::link(stage.link, Role::XmppCm, "xmpp-1").await;
    let (_, nodes) = stage.get("/api/v1/nodes").await;
    assert_eq!(nodes["items"].as_array().unwrap().len(), 3, "the router, too: {nodes}");

    // When a SIP user of ours writes to an unknown domain,
    sip.submit(message(1, "foreign.example"));
    xmpp.play(Instruction::Reach, not_found()).await;
    sip.play(Instruction::Discover, delivered()).await;
    // then the sip-cm is told that it is a SIP domain, and the sender of the success,
    let verdict = sip.next(|frame| match frame {
        FromRouter::Verdict { domain, sip, .. } => Some((domain.to_string(), sip)),
        _ => None,
    });
    assert_eq!(verdict.await, ("foreign.example".to_owned(), true));
    let outcome = sip.outcome().await;
    assert_eq!(outcome.ending, delivered());
    let roles: Vec<&str> = outcome.hops.iter().map(|hop| hop.role.as_str()).collect();
    assert_eq!(roles, ["sip-cm", "xcp-router", "xmpp-cm", "xcp-router", "sip-cm"]);

    // there is a row and a flow,
    let (status, row) = stage.get("/api/v1/sip-domains/foreign.example").await;
    assert_eq!((status, row["origin"].as_str()), (200, Some("discovered")), "{row}");
    assert_eq!((&row["direction"], &row["route"]), (&"outbound".into(), &".*".into()));
    let (_, flows) = stage.get("/api/v1/flows?limit=5").await;
    let flow = &flows["items"][0];
    assert_eq!(flow["outcome"], "delivered");
    assert_eq!(flow["decision"], "fallback");
    assert_eq!(flow["started"], "2023-11-14T22:13:20.000001Z");
    assert_eq!(flow["trace_id"], "07".repeat(16));
    assert_eq!(flow["hops"].as_array().unwrap().len(), 5);
    let (_, page) = stage.get("/api/v1/sip-domains?search=FOREIGN").await;
    assert_eq!((&page["total"], &page["next_cursor"]), (&1.into(), &Value::Null));

    // and after a restart the domain is still known.
    stage.stop().await;
    let stage = Stage::start(directory.path()).await;
    let mut sip = Manager::link(stage.link, Role::SipCm, "sip-1").await;
    let _xmpp = Manager::link(stage.link, Role::XmppCm, "xmpp-1").await;
    sip.submit(message(2, "foreign.example"));
    sip.play(Instruction::Send, delivered()).await;
    assert_eq!(sip.outcome().await.ending, delivered());
    let (_, explanation) = stage.get("/api/v1/explain/foreign.example").await;
    assert_eq!(explanation["decision"], "cached");
    stage.stop().await;
}

#[tokio::test]
async fn a_row_without_a_proof_is_asked_about_after_a_restart_and_goes_with_a_word() {
    let directory = tempfile::tempdir().unwrap();
    let soon = |settings: &mut Settings| settings.discovery.ask_again = Duration::from_secs(1);
    let stage = Stage::with(directory.path(), soon).await;
    stage.open().await;
    let mut sip = Manager::link(stage.link, Role::SipCm, "sip-1").await;
    let mut xmpp = Manager::link(stage.link, Role::XmppCm, "xmpp-1").await;
    let refused = Failure::new(Condition::RemoteServerTimeout, Cause::Unreachable);
    let refused = Ending::Failed(refused.with_finding(Finding::Refused));
    let names = ["a.example", "b.example"];
    for (number, name) in (1..).zip(names) {
        sip.submit(message(number, name));
        xmpp.play(Instruction::Reach, refused.clone()).await;
        sip.play(Instruction::Discover, delivered()).await;
        assert_eq!(sip.outcome().await.ending, delivered());
    }
    let (_, row) = stage.get("/api/v1/sip-domains/a.example").await;
    assert_eq!((&row["finding"], &row["proven"]), (&json!("refused"), &json!(false)), "{row}");
    assert!(row["asks_next"].is_string(), "{row}");
    let (_, explanation) = stage.get("/api/v1/explain/a.example").await;
    let steps = explanation["steps"].as_array().unwrap();
    let why = steps.iter().find(|step| step["rule"] == "finding").unwrap();
    let answer = why["answer"].as_str().unwrap();
    assert!(answer.starts_with("not proven: all addresses refused the connection"), "{answer}");
    // A word of the operator, without any other change, makes one of them stay.
    let (status, row) = stage.call("PATCH", "/api/v1/sip-domains/b.example", Some(json!({}))).await;
    assert_eq!((status, &row["origin"]), (200, &json!("configured")), "{row}");
    assert_eq!((&row["finding"], &row["asks_next"]), (&json!("refused"), &Value::Null));
    // What a backup holds of it comes back.
    let (_, backup) = stage.raw("GET", "/api/v1/backup", "application/json", "").await;
    let line = backup.lines().find(|line| line.contains("\"a.example\"")).unwrap();
    assert!(line.contains("\"finding\":\"refused\""), "{line}");
    stage.stop().await;

    let stage = Stage::with(directory.path(), soon).await;
    let _sip = Manager::link(stage.link, Role::SipCm, "sip-1").await;
    let mut xmpp = Manager::link(stage.link, Role::XmppCm, "xmpp-1").await;
    let reached = Ending::Delivered { by: Protocol::Xmpp, status: 200 };
    let asked = xmpp.play(Instruction::Probe, reached).await;
    assert_eq!(asked.packet.to.to_jid(), "a.example");
    let gone = async { while stage.get("/api/v1/sip-domains/a.example").await.0 != 404 {} };
    tokio::time::timeout(Duration::from_secs(10), gone).await.unwrap();
    let noted = async {
        loop {
            let (_, audit) = stage.get("/api/v1/audit").await;
            let entry = &audit["items"][0];
            if entry["action"] == "XMPP answered, SIP domain removed" {
                return entry.clone();
            }
        }
    };
    let entry = tokio::time::timeout(Duration::from_secs(10), noted).await.unwrap();
    assert_eq!(entry["subject"], "a.example");
    assert_eq!(entry["before"]["finding"], "refused", "{entry}");
    assert_eq!(stage.get("/api/v1/sip-domains/b.example").await.0, 200);
    stage.stop().await;
}

#[tokio::test]
async fn a_change_of_the_tables_reaches_the_managers_before_the_api_answers() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let mut sip = Manager::link(stage.link, Role::SipCm, "sip-1").await;
    let tables = |frame| match frame {
        FromRouter::Tables(tables) => Some(tables),
        _ => None,
    };
    assert!(sip.next(tables).await.routes[0].blocked);
    stage.open().await;
    let within = tokio::time::timeout(Duration::from_millis(500), sip.next(tables));
    assert!(!within.await.unwrap().routes[0].blocked);
    let body = serde_json::json!({ "domain": "*.bad.example", "note": "spam" });
    assert_eq!(stage.call("POST", "/api/v1/blocked-domains", Some(body)).await.0, 201);
    let within = tokio::time::timeout(Duration::from_millis(500), sip.next(tables));
    assert_eq!(within.await.unwrap().blocked[0].to_string(), "*.bad.example");
    // And the router obeys itself.
    sip.submit(message(1, "x.bad.example"));
    let Ending::Failed(failure) = sip.outcome().await.ending else { panic!("delivered") };
    assert_eq!(failure.condition, Condition::PolicyViolation);
    stage.stop().await;
}

#[tokio::test]
async fn flows_can_be_watched_as_they_end() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let sip = Manager::link(stage.link, Role::SipCm, "sip-1").await;
    let mut stream = TcpStream::connect(stage.http).await.unwrap();
    let request = format!(
        "GET /api/v1/flows/stream HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        stage.http, stage.token
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut lines = BufReader::new(stream).lines();
    while !lines.next_line().await.unwrap().unwrap().is_empty() {}
    sip.submit(message(1, "foreign.example"));
    let event = async {
        loop {
            let line = lines.next_line().await.unwrap().unwrap();
            if let Some(data) = line.strip_prefix("data: ") {
                return serde_json::from_str::<Value>(data).unwrap();
            }
        }
    };
    let flow = tokio::time::timeout(Duration::from_secs(10), event).await.unwrap();
    // No xmpp-cm is linked.
    assert_eq!(flow["decision"], "refused");
    assert_eq!(flow["outcome"], "remote-server-not-found");
    // An open stream does not keep the router from ending, nor its store open.
    stage.stop().await;
    Stage::start(directory.path()).await.stop().await;
}

#[tokio::test]
async fn a_node_is_taken_out_and_back_in_by_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let stage = Stage::start(directory.path()).await;
    let mut sip = Manager::link(stage.link, Role::SipCm, "sip-1").await;
    let node = |stage: &Value, name: &str| {
        let items = stage["items"].as_array().unwrap().iter();
        items.clone().find(|node| node["node"] == name).cloned().unwrap()
    };
    let change = async |name: &str, draining: bool| {
        let body = json!({ "draining": draining });
        stage.call("PATCH", &format!("/api/v1/nodes/{name}"), Some(body)).await
    };

    // The answer waits until the node says that it has done so.
    let asked = async {
        let wanted = sip.next(|frame| match frame {
            FromRouter::Drain(on) => Some(on),
            _ => None,
        });
        assert!(wanted.await);
        sip.say(FromCm::Leaving(Duration::ZERO));
    };
    let ((status, view), ()) = tokio::join!(change("sip-1", true), asked);
    assert_eq!((status, &view["draining"]), (200, &json!(true)), "{view}");
    // One that does not say so is reported.
    assert_eq!(change("sip-1", false).await.0, 504);
    sip.say(FromCm::Serving);

    let (_, nodes) = stage.get("/api/v1/nodes").await;
    let own = nodes["items"][0]["node"].as_str().unwrap().to_owned();
    assert_eq!(node(&nodes, &own)["role"], "xcp-router");
    let (status, view) = change(&own, true).await;
    assert_eq!((status, &view["draining"]), (200, &json!(true)), "{view}");
    assert_eq!(stage.get("/readyz").await.0, 503);
    assert_eq!(change(&own, false).await.0, 200);
    assert_eq!(stage.get("/readyz").await.0, 200);

    let (status, problem) = change("nobody", true).await;
    assert_eq!(status, 404, "{problem}");
    assert!(!problem.to_string().contains("sip-1"), "it names no others: {problem}");
    let (status, _) = stage.call("PATCH", "/api/v1/nodes/sip-1", Some(json!({}))).await;
    assert_eq!(status, 422);
    stage.stop().await;
}
