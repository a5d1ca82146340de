//! Answers that came to another instance than the one that asked.
//!
//! A server that answers on a stream of its own (without XEP-0288, or because it had opened that
//! one before) reaches any of our instances. Whoever gets an answer that it does not wait for hands
//! it to the others by a router: errors and the answers of fences by the same one, so that they
//! stay in order.

use std::time::Instant;

use bytes::Bytes;
use minidom::Element;
use openfed_proto::link::FromCm;

use super::naming::is_ours;
use super::stanzas::pair_of;
use super::{Command, Core};
use crate::stanza::Attributes;
use crate::xml::{from_bytes, to_bytes};

/// How long the ids of our pings are.
const ID: usize = 32;

impl Core {
    /// Whether the stanza answers a fence or a question, but none of ours; then it is on its way.
    pub(super) fn is_astray(&mut self, stanza: &Element) -> bool {
        let astray = answers_some_fence(stanza) || is_ours(stanza);
        if astray {
            self.pass_on(stanza);
        }
        astray
    }

    /// Hands an answer to the other instances.
    pub(super) fn pass_on(&mut self, stanza: &Element) {
        if let Some(router) = self.routers.any() {
            let frame = FromCm::Astray(to_bytes(stanza));
            self.commands.push_back(Command::ToRouter { router, frame });
        }
    }

    /// Another instance got an answer. Its stream was let in for these domains, as ours would be.
    pub(super) fn on_astray(&mut self, stanza: &Bytes, now: Instant) {
        let Ok(stanza) = from_bytes(stanza, self.settings.stream.limits) else { return };
        if let Some(pair) = pair_of(&stanza) {
            self.settles(&pair, &stanza, now);
        }
    }
}

/// Fences are pings between bare domains with ids of ours; no client asks so.
fn answers_some_fence(stanza: &Element) -> bool {
    if stanza.name() != "iq" {
        return false;
    }
    let written = Attributes::of(stanza);
    let bare = |jid: Option<&str>| jid.is_some_and(|jid| !jid.contains(['@', '/']));
    let is_ours = |id: &str| id.len() == ID && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(written.subtype, Some("result" | "error"))
        && bare(written.from)
        && bare(written.to)
        && written.id.is_some_and(is_ours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_between_domains_with_an_id_of_ours_are_those_of_fences() {
        let id = "0123456789abcdef0123456789abcdef";
        let answers = |kind: &str, from: &str, to: &str, id: &str| {
            let text = format!(
                "<iq xmlns='jabber:client' type='{kind}' from='{from}' to='{to}' id='{id}'/>"
            );
            answers_some_fence(&text.parse().unwrap())
        };
        assert!(answers("result", "a.example", "b.example", id));
        assert!(answers("error", "a.example", "b.example", id));
        assert!(!answers("get", "a.example", "b.example", id));
        assert!(!answers("result", "u@a.example", "b.example", id));
        assert!(!answers("result", "a.example", "u@b.example", id));
        assert!(!answers("result", "a.example", "b.example/r", id));
        assert!(!answers("result", "a.example", "b.example", &id[1..]));
        assert!(!answers("result", "a.example", "b.example", &id.replace('a', "z")));
    }
}
