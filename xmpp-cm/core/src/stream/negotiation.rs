//! From the header to the point where authentication can begin (RFC 6120 §4.3, §5).

use std::time::Instant;

use minidom::Element;

use super::pairs::Pairs;
use super::{
    CloseReason, Event, Features, Name, Phase, Role, State, Stream, StreamCondition, StreamError,
    Tls,
};
use crate::xml::{Header, ns};

/// What the version of a header means (RFC 6120 §4.7.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// Before 1.0: no features, no STARTTLS, dialback only.
    Legacy,
    /// 1.0 or later; we speak 1.0.
    Current,
}

impl Stream {
    pub(super) fn handle_header(&mut self, header: &Header, now: Instant) {
        self.state_ends = None;
        self.lang.clone_from(&header.lang);
        let responder = matches!(self.role, Role::Responder { .. });
        self.legacy = responder && read_version(header.version.as_deref()) == Some(Version::Legacy);
        let to = header.to.as_deref().and_then(Name::parse);
        let from = header.from.as_deref().map(Name::parse);
        if responder && self.local.is_none() {
            // Even a refusal speaks in the name that was asked for (RFC 6120 §4.7.1).
            self.local = to.clone();
            self.remote = from.clone().flatten();
            self.judge_header(header, (from, to), None, now);
        } else {
            let known = self.local.clone();
            self.judge_header(header, (from, to), known, now);
        }
    }

    fn judge_header(
        &mut self,
        header: &Header,
        (from, to): (Option<Option<Name>>, Option<Name>),
        known: Option<Name>,
        now: Instant,
    ) {
        if let Err(condition) = check_form(header) {
            return self.fail_with(condition);
        }
        let Some(version) = read_version(header.version.as_deref()) else {
            return self.fail_with(StreamCondition::UnsupportedVersion);
        };
        if matches!(self.role, Role::Initiator) {
            return self.handle_response(header, version);
        }
        let Some(to) = to else {
            return self.fail_with(StreamCondition::ImproperAddressing);
        };
        let from = match from {
            Some(None) => return self.fail_with(StreamCondition::InvalidFrom),
            Some(from) => from,
            None => None,
        };
        if version == Version::Legacy && self.needs_tls() {
            return self.fail_with(StreamCondition::UnsupportedVersion);
        }
        self.phase = self.phase.max(Phase::Negotiation);
        match known {
            None => self.ask_owner(version, to, from),
            // After TLS the names are those for which the certificate was shown.
            Some(local) if local.domain() != to.domain() => {
                self.fail_with(StreamCondition::HostUnknown)
            }
            Some(_)
                if from.is_some() && self.remote.is_some() && !self.is_remote(from.as_ref()) =>
            {
                self.fail_with(StreamCondition::InvalidFrom);
            }
            Some(_) => {
                self.remote = from.or(self.remote.take());
                self.open_responder(version, now);
            }
        }
    }

    fn ask_owner(&mut self, version: Version, to: Name, from: Option<Name>) {
        self.state = State::Decision(version);
        let id = self.id.clone();
        let (from, to) = (from.as_deref().cloned(), to.domain().clone());
        self.push(Event::Opened { from, to, id });
    }

    fn is_remote(&self, name: Option<&Name>) -> bool {
        name.map(Name::domain) == self.remote.as_ref().map(Name::domain)
    }

    /// The header's `to` is served here: negotiation goes on.
    pub fn accept_header(&mut self, now: Instant) {
        let State::Decision(version) = self.state else { return };
        self.open_responder(version, now);
        let held = std::mem::take(&mut self.held);
        self.handle_bytes(&held, now);
    }

    /// The header is refused: `host-unknown`, `host-gone`, `policy-violation`,
    /// `resource-constraint`, … with our header before it.
    pub fn refuse_header(&mut self, error: StreamError) {
        if matches!(self.state, State::Decision(_)) {
            self.fail(error);
        }
    }

    fn open_responder(&mut self, version: Version, now: Instant) {
        self.write_header();
        if !self.let_in_proven(now) && version == Version::Current {
            self.write_features();
        }
        self.state = State::Open;
        if !self.needs_tls() {
            self.phase = self.phase.max(Phase::Ready);
        }
    }

    pub(super) fn write_features(&mut self) {
        let features = self.features();
        self.write(&features);
    }

    fn features(&self) -> Element {
        let mut features = Element::bare("features", ns::STREAM);
        if !self.encrypted && self.settings.tls != Tls::Never {
            let mut starttls = Element::bare("starttls", ns::TLS);
            if self.needs_tls() {
                starttls.append_child(Element::bare("required", ns::TLS));
            }
            features.append_child(starttls);
        }
        if !self.needs_tls() {
            let mut dialback = Element::bare("dialback", ns::DIALBACK_FEATURE);
            dialback.append_child(Element::bare("errors", ns::DIALBACK_FEATURE));
            features.append_child(dialback);
        }
        if self.encrypted && self.settings.bidi && self.pairs.is_empty() {
            features.append_child(Element::bare("bidi", ns::BIDI_FEATURE));
        }
        if self.offers_external() {
            let mut mechanisms = Element::bare("mechanisms", ns::SASL);
            mechanisms
                .append_child(Element::builder("mechanism", ns::SASL).append("EXTERNAL").build());
            features.append_child(mechanisms);
        }
        if !self.pairs.is_empty() {
            features.append_child(Element::bare("sm", ns::MANAGEMENT));
        }
        features
    }

    pub(super) fn needs_tls(&self) -> bool {
        !self.encrypted && self.settings.tls == Tls::Required
    }

    /// Initiator: the peer's header came.
    fn handle_response(&mut self, header: &Header, version: Version) {
        self.phase = self.phase.max(Phase::Negotiation);
        // The id is half of what a dialback key is made from (XEP-0220 §2.1.1).
        match header.id.as_deref() {
            Some(id) if !id.is_empty() => id.clone_into(&mut self.id),
            _ => return self.fail_with(StreamCondition::BadFormat),
        }
        match version {
            Version::Current => self.state = State::Features,
            Version::Legacy if self.needs_tls() => self.refuse_plain(),
            Version::Legacy => self.ready(Features::default()),
        }
    }

    /// Initiator: an element while features or `<proceed/>` are awaited.
    pub(super) fn handle_negotiation(&mut self, element: &Element, now: Instant) {
        match (self.state, element.name()) {
            (_, "error") if element.has_ns(ns::STREAM) => self.handle_error(element),
            (State::Features, "features") if element.has_ns(ns::STREAM) => {
                self.handle_features(element);
            }
            (State::Proceed, "proceed") if element.has_ns(ns::TLS) => self.start_tls(),
            (State::Proceed, "failure") if element.has_ns(ns::TLS) => self.refuse_plain(),
            (State::Sasl(_), "success") if element.has_ns(ns::SASL) => self.proceed_proven(now),
            (State::Sasl(features), "failure") if element.has_ns(ns::SASL) => self.ready(features),
            _ => self.fail_with(StreamCondition::UnsupportedStanzaType),
        }
    }

    fn handle_features(&mut self, features: &Element) {
        let offered = features.has_child("starttls", ns::TLS);
        let try_tls = match self.settings.tls {
            Tls::Never => false,
            Tls::Opportunistic => offered,
            Tls::Required => true,
        };
        if try_tls && !self.encrypted {
            self.write(&Element::bare("starttls", ns::TLS));
            self.state = State::Proceed;
            return;
        }
        let dialback = features.get_child("dialback", ns::DIALBACK_FEATURE);
        let external = features
            .get_child("mechanisms", ns::SASL)
            .is_some_and(|list| list.children().any(|mechanism| mechanism.text() == "EXTERNAL"));
        let features = Features {
            encrypted: self.encrypted,
            dialback: dialback.is_some(),
            dialback_errors: dialback
                .is_some_and(|dialback| dialback.has_child("errors", ns::DIALBACK_FEATURE)),
            external: external && !self.proven,
            bidi: features.has_child("bidi", ns::BIDI_FEATURE),
            management: features.has_child("sm", ns::MANAGEMENT),
        };
        if external && self.encrypted && self.settings.external && !self.proven {
            return self.prove(features);
        }
        self.ready(features);
    }

    fn ready(&mut self, features: Features) {
        self.state = State::Open;
        self.phase = self.phase.max(Phase::Ready);
        self.negotiation_ends = None;
        self.speak_proven(features);
        self.push(Event::Ready(features));
    }

    /// TLS is not to be had, and without it we do not go on.
    fn refuse_plain(&mut self) {
        self.write_footer();
        self.end(CloseReason::TlsFailed);
    }

    /// Responder: `<starttls/>` came (RFC 6120 §5.4.2).
    pub(super) fn handle_starttls(&mut self) {
        if self.encrypted || self.settings.tls == Tls::Never || !self.pairs.is_empty() {
            self.write(&Element::bare("failure", ns::TLS));
            return self.refuse_plain();
        }
        // Nothing that was said in the clear counts afterwards (RFC 6120 §5.4.3.3).
        self.pairs = Pairs::new(self.settings.max_pairs);
        self.write(&Element::bare("proceed", ns::TLS));
        self.start_tls();
    }

    fn start_tls(&mut self) {
        let name = match self.role {
            Role::Initiator => self.remote.clone(),
            Role::Responder { .. } => self.local.clone(),
        };
        let Some(name) = name else {
            return self.fail_with(StreamCondition::InternalServerError);
        };
        let domain = name.domain().clone();
        self.push(Event::StartTls { domain });
        self.state = State::Handshake;
    }

    /// Responder: `<bidi/>` came (XEP-0288 §2.2).
    pub(super) fn handle_bidi(&mut self) {
        let offered = matches!(self.role, Role::Responder { .. })
            && self.encrypted
            && self.settings.bidi
            && self.pairs.is_empty();
        if !offered {
            return self.fail_with(StreamCondition::PolicyViolation);
        }
        if self.pairs.enable_bidi() {
            self.push(Event::BidiEnabled);
        }
    }
}

/// The root element and the content namespace (RFC 6120 §4.8).
fn check_form(header: &Header) -> Result<(), StreamCondition> {
    if header.namespace != ns::STREAM || header.content != ns::SERVER {
        return Err(StreamCondition::InvalidNamespace);
    }
    if header.name != "stream" {
        return Err(StreamCondition::BadFormat);
    }
    Ok(())
}

/// `None` if the version is no version.
fn read_version(version: Option<&str>) -> Option<Version> {
    let Some(version) = version else { return Some(Version::Legacy) };
    let (major, minor) = version.split_once('.')?;
    let major: u16 = major.parse().ok()?;
    let _: u16 = minor.parse().ok()?;
    Some(if major == 0 { Version::Legacy } else { Version::Current })
}
