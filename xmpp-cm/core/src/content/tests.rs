use super::*;

const STATE: &str = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";

fn stanza(inside: &str) -> Element {
    let text = format!("<message xmlns='jabber:client' type='chat'>{inside}</message>");
    text.parse().unwrap()
}

/// What is said, in the first language.
fn said(inside: &str) -> Option<String> {
    let stanza = stanza(inside);
    let text = texts(&stanza, None).into_iter().next().map(|text| text.text);
    assert_eq!(text.is_some(), Content::of(&stanza) == Content::Text, "{inside}");
    text
}

#[test]
fn s113_what_asks_for_no_answer_is_quiet() {
    for inside in [
        "",
        "<body/>",
        "<thread>t</thread>",
        STATE,
        "<x xmlns='jabber:x:event'><composing/></x>",
        "<received xmlns='urn:xmpp:receipts' id='1'/>",
        "<displayed xmlns='urn:xmpp:chat-markers:0' id='1'/>",
        "<event xmlns='http://jabber.org/protocol/pubsub#event'><items node='n'/></event>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><header sid='1'/></encrypted>",
        "<retract xmlns='urn:xmpp:jingle-message:0' id='1'/>",
        &format!("{STATE}<no-store xmlns='urn:xmpp:hints'/><origin-id xmlns='urn:xmpp:sid:0'/>"),
    ] {
        assert_eq!(Content::of(&stanza(inside)), Content::Quiet, "{inside}");
    }
}

#[test]
fn what_a_person_did_and_text_cannot_say_is_refused() {
    for inside in [
        "<encrypted xmlns='urn:xmpp:omemo:2'><header sid='1'/><payload>bb</payload></encrypted>",
        "<propose xmlns='urn:xmpp:jingle-message:0' id='a'/>",
        "<reactions xmlns='urn:xmpp:reactions:0' id='1'><reaction>!</reaction></reactions>",
        "<attention xmlns='urn:xmpp:attention:0'/>",
        "<x xmlns='jabber:x:conference' jid='room@rooms.example'/>",
        &format!("{STATE}<unknown xmlns='urn:of-nobody'/>"),
    ] {
        assert_eq!(Content::of(&stanza(inside)), Content::Unsayable, "{inside}");
    }
    let room = "<message xmlns='jabber:client' type='groupchat'><body>x</body></message>";
    assert_eq!(Content::of(&room.parse().unwrap()), Content::Unsayable);
}

#[test]
fn s106_what_has_a_text_is_said_whatever_comes_with_it() {
    for with in [
        STATE,
        "<request xmlns='urn:xmpp:receipts'/>",
        "<encrypted xmlns='eu.siacs.conversations.axolotl'><payload>b</payload></encrypted>",
        "<replace xmlns='urn:xmpp:message-correct:0' id='1'/>",
        "<html xmlns='http://jabber.org/protocol/xhtml-im'>\
         <body xmlns='http://www.w3.org/1999/xhtml'><b>hi</b> there</body></html>",
    ] {
        assert_eq!(said(&format!("<body>hi</body>{with}")).as_deref(), Some("hi"), "{with}");
    }
    for subtype in ["headline", "normal", "strange"] {
        let text =
            format!("<message xmlns='jabber:client' type='{subtype}'><body>x</body></message>");
        assert_eq!(Content::of(&text.parse().unwrap()), Content::Text, "{subtype}");
    }
}

#[test]
fn s107_formatted_text_alone_is_said_as_text() {
    let html = |inside: &str| {
        said(&format!(
            "<html xmlns='http://jabber.org/protocol/xhtml-im'>\
             <body xmlns='http://www.w3.org/1999/xhtml'>{inside}</body></html>"
        ))
    };
    for (inside, expected) in [
        ("do <em>you</em> see\n  this?", "do you see this?"),
        ("<p>one</p><p>two<br/>three</p>", "one\ntwo\nthree"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("see <a href='https://x.example/'>here</a>", "see here (https://x.example/)"),
        ("<a href='https://x.example/'>https://x.example/</a>", "https://x.example/"),
        ("<img src='cid:1' alt='a smile'/>", "a smile"),
        ("1 &lt; 2<script>x()</script>", "1 < 2"),
    ] {
        assert_eq!(html(inside).as_deref(), Some(expected), "{inside}");
    }
    assert_eq!(html(" <p/> "), None, "nothing is said");
}

#[test]
fn a_link_is_said_behind_the_text_that_does_not_repeat_it() {
    let link = "<x xmlns='jabber:x:oob'><url> https://x.example/f.png </url></x>";
    assert_eq!(said(link).as_deref(), Some("https://x.example/f.png"));
    let beside = said(&format!("<body>look</body>{link}"));
    assert_eq!(beside.as_deref(), Some("look\nhttps://x.example/f.png"));
    let within = said(&format!("<body>see https://x.example/f.png!</body>{link}"));
    assert_eq!(within.as_deref(), Some("see https://x.example/f.png!"));
    assert_eq!(Content::of(&stanza("<x xmlns='jabber:x:oob'/>")), Content::Unsayable);
}

#[test]
fn a_subject_alone_is_said() {
    assert_eq!(said("<subject>only</subject>").as_deref(), Some("only"));
    assert_eq!(said("<subject>s</subject><body>b</body>").as_deref(), Some("b"));
}

/// The operator's guide says what becomes of what clients write, and so it is.
#[test]
fn s113_the_table_of_the_guide_holds() {
    let guide = include_str!("../../../../deploy/messages.md");
    let mut rows = 0;
    for row in guide.lines().filter(|line| line.starts_with("| ") && line.contains('`')) {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
        let [_, _, inside, becomes] = cells[..] else { panic!("no row: {row}") };
        let inside = inside.trim_matches('`');
        match becomes.split_once(": ") {
            Some(("said", text)) => {
                let text = text.trim_matches('`').replace('⏎', "\n");
                assert_eq!(said(inside), Some(text), "{row}");
            }
            _ if becomes == "quiet" => {
                assert_eq!(Content::of(&stanza(inside)), Content::Quiet, "{row}");
            }
            _ => {
                assert_eq!(becomes, "answered", "{row}");
                assert_eq!(Content::of(&stanza(inside)), Content::Unsayable, "{row}");
            }
        }
        rows += 1;
    }
    assert!(rows >= 25, "{rows} rows");
}
