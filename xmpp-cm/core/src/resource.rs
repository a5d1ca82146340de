//! The device that a SIP user has on XMPP.
//!
//! A SIP user has a resource if its GRUU is known, and that stays what it is, both ways (S-021,
//! S-102). Others would write from a bare address, whom some hear not at all.
//!
//! COMPAT(Smack, Vysper): the chats of the one begin with senders that have a resource; the other
//! drops what comes from anybody else. So each user has this resource, always the same, and it is
//! taken off when something goes to it: in SIP it means nothing.

use minidom::Element;
use openfed_proto::address::Address;

use crate::stanza::{Attributes, set};

/// No client and no telephone calls itself so.
const OF_SIP: &str = "openfed-sip";

/// The JID that a sender on SIP writes from.
pub(crate) fn given(sender: &Address) -> String {
    let mut jid = sender.to_jid();
    if sender.local().is_some() && !sender.is_full() {
        jid.push('/');
        jid.push_str(OF_SIP);
    }
    jid
}

/// The recipient without the resource that is only ours.
pub(crate) fn taken_off(recipient: &Address) -> Address {
    match recipient.resource() {
        Some(OF_SIP) => recipient.bare(),
        _ => recipient.clone(),
    }
}

/// The same for a message that goes on as a stanza: whoever it is for has another resource, or none.
///
/// Only messages: whoever asked a device something waits for the answer of that very one.
pub(crate) fn taken_off_stanza(mut stanza: Element) -> Element {
    if let Some(bare) = bare_recipient(&stanza).map(str::to_owned) {
        set(&mut stanza, "to", &bare);
    }
    stanza
}

/// To whom a message to our resource goes.
pub(crate) fn bare_recipient(stanza: &Element) -> Option<&str> {
    let (bare, resource) = Attributes::of(stanza).to?.split_once('/')?;
    (resource == OF_SIP && stanza.name() == "message").then_some(bare)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(jid: &str) -> Address {
        Address::from_jid(jid).unwrap()
    }

    #[test]
    fn s_102_a_gruu_stays_what_it_is_and_others_get_ours() {
        assert_eq!(given(&address("bob@sip.example")), "bob@sip.example/openfed-sip");
        assert_eq!(given(&address("bob@sip.example/desk")), "bob@sip.example/desk");
        assert_eq!(given(&address("sip.example")), "sip.example");
        let back = taken_off(&address(&given(&address("bob@sip.example"))));
        assert_eq!(back, address("bob@sip.example"));
        assert_eq!(taken_off(&address("bob@sip.example/desk")), address("bob@sip.example/desk"));
    }

    #[test]
    fn a_message_goes_on_without_it_and_a_question_with_it() {
        let to = |kind: &str, to: &str| {
            let text = format!("<{kind} xmlns='jabber:client' to='{to}'/>");
            taken_off_stanza(text.parse().unwrap()).attr("to").unwrap().to_owned()
        };
        assert_eq!(to("message", "b@c.example/openfed-sip"), "b@c.example");
        assert_eq!(to("message", "b@c.example/openfed-sip2"), "b@c.example/openfed-sip2");
        assert_eq!(to("message", "b@c.example"), "b@c.example");
        assert_eq!(to("iq", "b@c.example/openfed-sip"), "b@c.example/openfed-sip");
    }
}
