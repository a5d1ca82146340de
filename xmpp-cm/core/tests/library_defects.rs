//! Why the stream and its XML are ours: what the libraries underneath do with the same input.
//! When one of these scenes fails after an upgrade, a reason of ours has gone.

use std::process::{Command, Output};

use minidom::Element;
use xmpp_cm_core::xml::{self, Limits, ns};

const CHILD: &str = "OPENFED_DEFECT_CHILD";

/// Runs one scene of this file in a process of its own, which may die.
fn in_child(scene: &str) -> std::io::Result<Output> {
    Command::new(std::env::current_exe()?)
        .args(["--exact", scene, "--nocapture"])
        .env(CHILD, "1")
        .output()
}

fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// 15,000 levels in 105 kB, the way a peer can send them before it is authenticated.
fn deep() -> String {
    format!("<a xmlns='x'>{}{}</a>", "<a>".repeat(15_000), "</a>".repeat(15_000))
}

#[test]
fn e58_a_deep_element_aborts_the_process_that_builds_it_with_xso() {
    if is_child() {
        // The stack of a tokio worker
        let build = || drop(xso::from_bytes::<Element>(deep().as_bytes()));
        let worker = std::thread::Builder::new().stack_size(2 << 20).spawn(build).unwrap();
        worker.join().unwrap();
        return;
    }
    let output = in_child("e58_a_deep_element_aborts_the_process_that_builds_it_with_xso").unwrap();
    assert!(!output.status.success(), "the library has learnt to nest");
    assert!(String::from_utf8_lossy(&output.stderr).contains("overflowed its stack"));
    // Ours says so and goes on
    assert_eq!(
        xml::from_bytes(deep().as_bytes(), Limits::default()).unwrap_err().text,
        "nested too deep"
    );
}

#[test]
fn e58_the_size_of_a_stanza_has_no_limit() {
    let big = format!("<message xmlns='jabber:server'>{}</message>", "x".repeat(2_000_000));
    assert!(xso::from_bytes::<Element>(big.as_bytes()).is_ok());
    assert!(xml::from_bytes(big.as_bytes(), Limits::default()).is_err());
}

#[test]
fn an_attribute_of_9_kb_is_an_error_of_the_parser() {
    let long = format!("<message xmlns='jabber:server' id='{}'/>", "x".repeat(9_000));
    assert!(xso::from_bytes::<Element>(long.as_bytes()).is_err());
    assert!(xml::from_bytes(long.as_bytes(), Limits::default()).is_ok());
}

#[test]
fn e50_dialback_is_written_without_the_prefix_that_servers_look_for() {
    let result = Element::bare("result", ns::DIALBACK);
    assert!(String::from(&result).starts_with("<result xmlns='jabber:server:dialback'"));
    assert_eq!(&xml::to_bytes(&result)[..], b"<db:result/>");
}

#[test]
fn typed_stanzas_are_bound_to_jabber_client() {
    let text = "<message from='a@b.example' xmlns='jabber:server'><body>x</body></message>";
    let theirs = xso::from_bytes::<Element>(text.as_bytes()).unwrap();
    assert!(xmpp_parsers::message::Message::try_from(theirs).is_err());
    let ours = xml::from_bytes(text.as_bytes(), Limits::default()).unwrap();
    assert!(xmpp_parsers::message::Message::try_from(ours).is_ok());
}
