//! SASL EXTERNAL (RFC 6120 §6, XEP-0178): a certificate proves the domain of who opened the stream.
//! We offer it where that is so already, so that it has no second way to fail.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minidom::Element;

use super::beginning::Beginning;
use super::{Direction, Domain, Features, Name, Role, State, Stream};
use crate::stanza::set;
use crate::xml::ns;

impl Stream {
    /// Initiator: our certificate is to prove our domain. If it does not, dialback is left.
    pub(super) fn prove(&mut self, features: Features) {
        let name = self.local.as_ref().map_or_else(String::new, |it| STANDARD.encode(&*it.own()));
        let mut auth = Element::bare("auth", ns::SASL);
        set(&mut auth, "mechanism", "EXTERNAL");
        auth.append_text(name);
        self.write(&auth);
        self.state = State::Sasl(features);
    }

    /// Initiator: it did. The stream begins anew.
    pub(super) fn proceed_proven(&mut self, now: Instant) {
        self.proven = true;
        self.restart(now);
        self.write_header();
    }

    /// Initiator: the negotiation after that is over. We may speak, and the peer may count.
    pub(super) fn speak_proven(&mut self, features: Features) {
        if !std::mem::take(&mut self.proven) {
            return;
        }
        if features.management {
            self.count_sent();
        }
        if let (Some(local), Some(remote)) = (self.local.clone(), self.remote.clone()) {
            self.pairs.authenticate_outbound(&local, &remote);
            self.authenticated((local, remote), Direction::Outbound);
        }
    }

    /// What the peer's certificate proves. To be said before
    /// [`Stream::handle_tls_established`].
    pub fn certify(&mut self, domains: Vec<Domain>) {
        self.certified = domains;
    }

    pub(super) fn offers_external(&self) -> bool {
        let certified = self.remote.as_ref().is_some_and(|it| self.certified.contains(it.domain()));
        let responder = matches!(self.role, Role::Responder { .. });
        responder && self.encrypted && certified && self.pairs.is_empty()
    }

    /// `<auth/>` came: the stream begins anew, or dialback is still open to the peer.
    pub(super) fn handle_auth(&mut self, element: &Element, now: Instant) {
        let failure = if !self.offers_external() {
            "not-authorized"
        } else if element.attr("mechanism") != Some("EXTERNAL") {
            "invalid-mechanism"
        } else if !self.may_act_as(element.text().trim()) {
            "invalid-authzid"
        } else {
            self.write(&Element::bare("success", ns::SASL));
            self.proven = true;
            return self.restart(now);
        };
        let mut answer = Element::bare("failure", ns::SASL);
        answer.append_child(Element::bare(failure, ns::SASL));
        self.write(&answer);
    }

    /// Nobody in particular is the header's `from` (XEP-0178 §3).
    fn may_act_as(&self, authzid: &str) -> bool {
        if matches!(authzid, "" | "=") {
            return true;
        }
        let name = STANDARD.decode(authzid).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let name = name.as_deref().and_then(Name::parse);
        name.is_some_and(|name| self.remote.as_ref().is_some_and(|it| it.domain() == name.domain()))
    }

    /// The header after SASL: the domain may speak to the one that it names. False if it is not that
    /// header.
    pub(super) fn let_in_proven(&mut self, now: Instant) -> bool {
        if !std::mem::take(&mut self.proven) {
            return false;
        }
        if let (Some(local), Some(remote)) = (self.local.clone(), self.remote.clone()) {
            let direction = self.pairs.authenticate_inbound(&local, &remote);
            self.beginning = Some(Beginning::new((local, remote), direction, now));
        }
        true
    }
}
