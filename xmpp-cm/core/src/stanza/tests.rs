use openfed_proto::condition::Condition;
use openfed_proto::packet::Cause;

use super::*;
use crate::xml::{Limits, from_bytes};

fn stanza(text: &str) -> Element {
    text.replacen(' ', " xmlns='jabber:client' ", 1).parse().unwrap()
}

#[test]
fn e46_an_answer_keeps_the_id_and_swaps_the_addresses() {
    let stanza = stanza(
        "<message id='1&lt;&apos;' from='A@corp.example/r' to='b@D.example'><body/><x/></message>",
    );
    let failure = Failure::new(Condition::Gone(None), Cause::Policy);
    let answer = Reply::to(&stanza).unwrap().error(&failure, None);
    let answer = from_bytes(answer.as_bytes(), Limits::default()).unwrap();
    assert_eq!(answer.name(), "message");
    assert_eq!(answer.attr("id"), Some("1<'"));
    assert_eq!(answer.attr("from"), Some("b@D.example"));
    assert_eq!(answer.attr("to"), Some("A@corp.example/r"));
    assert_eq!(answer.attr("type"), Some("error"));
}

#[test]
fn an_error_repeats_the_text_of_a_message_and_no_more_than_a_part_of_a_long_one() {
    let failure = Failure::new(Condition::ItemNotFound, Cause::NotFound);
    let said = |name: &str, text: &str| {
        let asked = stanza(&format!(
            "<{name} id='1' from='a@a.example' to='b@b.example'><body>x</body></{name}>"
        ));
        let answer = Reply::to(&asked).unwrap().error(&failure, Some(text));
        let answer = from_bytes(answer.as_bytes(), Limits::default()).unwrap();
        let names: Vec<_> = answer.children().map(|child| child.name().to_owned()).collect();
        let body = answer.children().find(|child| child.name() == "body").map(Element::text);
        (names, body)
    };
    let (names, body) = said("message", "<b> & c");
    assert_eq!((names, body.as_deref()), (vec!["body".into(), "error".into()], Some("<b> & c")));
    let (_, long) = said("message", &"ü".repeat(5_000));
    assert_eq!(long, Some(format!("{}…", "ü".repeat(512))));
    assert_eq!(said("presence", "hi"), (vec!["error".into()], None));
}

#[test]
fn e46_errors_and_results_are_not_answered() {
    for text in [
        "<message type='error' from='a@a.example' to='b.example'/>",
        "<presence type='error' from='a@a.example' to='b.example'/>",
        "<iq type='error' from='a@a.example' to='b.example'/>",
        "<iq type='result' from='a@a.example' to='b.example'/>",
        "<message to='b.example'/>",
    ] {
        assert_eq!(Reply::to(&stanza(text)), None, "{text}");
    }
}

#[test]
fn what_people_see_of_a_stanza_is_never_foreign_text() {
    let head = |text: &str| Head::read(&stanza(text)).unwrap().describe();
    let users = "from='a@a.example' to='b.example'";
    assert_eq!(head(&format!("<iq type='get' {users}/>")), "iq/get");
    assert_eq!(head(&format!("<presence type='pr0be' {users}/>")), "presence");
    assert_eq!(head(&format!("<message {users}/>")), "message");
}

#[test]
fn the_domain_is_read_as_the_rfc_separates_it() {
    let domain = |jid: &str| domain_of(jid).map(|it| it.to_string());
    assert_eq!(domain("a@Corp.Example/x@y/z").as_deref(), Some("corp.example"));
    assert_eq!(domain("corp.example/x").as_deref(), Some("corp.example"));
    assert_eq!(domain("a@b@c.example"), None);
    assert_eq!(domain("a@"), None);
}

#[test]
fn attributes_of_other_namespaces_are_not_those_of_the_stanza() {
    let written = "<message xmlns:x='urn:x' x:from='m@evil.example' x:to='m@evil.example' \
                   x:id='0' x:type='error' from='a@a.example' to='b@b.example' id='1'/>";
    let stanza = stanza(written);
    let found = Attributes::of(&stanza);
    assert_eq!((found.from, found.to), (Some("a@a.example"), Some("b@b.example")));
    assert_eq!((found.id, found.subtype), (Some("1"), None));
}
