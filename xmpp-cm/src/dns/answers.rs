//! What is answered to one question.

use std::net::IpAddr;
use std::sync::Arc;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{SOA, SRV};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};

/// Longest message that is read or sent over UDP: it fits every path (RFC 9715 has 1,400 at most).
pub(super) const MAX_MESSAGE: u16 = 1_232;
/// The same for a client that does not say what it takes (RFC 1035 §4.2.1).
const MAX_PLAIN: u16 = 512;
/// Addresses in one answer. Of more the next answer has others.
const MAX_ADDRESSES: usize = 16;

/// What is known just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Zone {
    /// The addresses of `xmpp-cm` as the home server reaches them; none: not known.
    pub(super) addresses: Arc<[IpAddr]>,
    /// The port of its server-to-server listeners.
    pub(super) port: u16,
    /// Seconds that an answer may be kept.
    pub(super) ttl: u32,
}

/// How a question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Over {
    /// In a datagram, whose source may be forged.
    Udp {
        /// The source asks too much: the answer is never longer than the question, and sends an
        /// honest client to TCP.
        busy: bool,
    },
    /// On a connection.
    Tcp,
}

/// An answer with what it says in one word, for the metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) kind: &'static str,
}

impl Zone {
    /// The answer to one question, both as on the wire; the addresses begin with number `turn`.
    /// `None`: nothing is said, because what came is no question.
    pub(super) fn answer(&self, question: &[u8], over: Over, turn: usize) -> Option<Answer> {
        match Message::from_vec(question) {
            Ok(query) if query.metadata.message_type == MessageType::Query => {
                let room = room(&query, over);
                let mut response = self.respond(query, turn);
                let bytes = response.to_vec().ok()?;
                if bytes.len() <= room {
                    return Some(Answer { bytes, kind: kind(&response) });
                }
                response.answers.clear();
                response.authorities.clear();
                response.metadata.truncation = true;
                Some(Answer { bytes: response.to_vec().ok()?, kind: "truncated" })
            }
            Ok(_) => None,
            Err(_) => format_error(question),
        }
    }

    fn respond(&self, query: Message, turn: usize) -> Message {
        let mut response = Message::response(query.metadata.id, query.metadata.op_code);
        response.metadata.recursion_desired = query.metadata.recursion_desired;
        response.metadata.recursion_available = true;
        response.metadata.authoritative = true;
        if query.edns.is_some() {
            let mut edns = Edns::new();
            edns.set_max_payload(MAX_MESSAGE);
            response.set_edns(edns);
        }
        let newer = query.edns.as_ref().is_some_and(|edns| edns.version() > 0);
        response.metadata.response_code = match (query.metadata.op_code, &query.queries[..]) {
            // RFC 6891 §6.1.3: with our own version, which is 0.
            (OpCode::Query, _) if newer => ResponseCode::BADVERS,
            (OpCode::Query, [one]) if one.query_class() == DNSClass::IN => {
                self.resolve(one.name(), one.query_type(), turn, &mut response.answers)
            }
            (OpCode::Query, [_]) => ResponseCode::Refused,
            (OpCode::Query, _) => ResponseCode::FormErr,
            _ => ResponseCode::NotImp,
        };
        let code = response.metadata.response_code;
        if response.answers.is_empty()
            && matches!(code, ResponseCode::NoError | ResponseCode::NXDomain)
        {
            // Without it resolvers do not keep the negative answer (RFC 2308 §5).
            response.add_authority(self.start_of_authority());
        }
        response.add_queries(query.queries);
        response
    }

    fn resolve(
        &self,
        name: &Name,
        kind: RecordType,
        turn: usize,
        answers: &mut Vec<Record>,
    ) -> ResponseCode {
        let record = |data| Record::from_rdata(name.clone(), self.ttl, data);
        match service(name) {
            Service::Xmpp(target) if kind == RecordType::SRV => {
                answers.push(record(RData::SRV(SRV::new(0, 0, self.port, target))));
            }
            Service::Xmpp(_) | Service::Above => {}
            Service::Other => return ResponseCode::NXDomain,
            Service::None if !matches!(kind, RecordType::A | RecordType::AAAA) => {}
            Service::None if self.addresses.is_empty() => return ResponseCode::ServFail,
            Service::None => answers.extend(self.turned(kind, turn).map(record)),
        }
        ResponseCode::NoError
    }

    /// The addresses of one family, beginning with another one each turn: home servers try the
    /// first one first.
    fn turned(&self, kind: RecordType, turn: usize) -> impl Iterator<Item = RData> {
        let family: Vec<_> = self
            .addresses
            .iter()
            .filter_map(|address| match (kind, *address) {
                (RecordType::A, IpAddr::V4(address)) => Some(RData::A(address.into())),
                (RecordType::AAAA, IpAddr::V6(address)) => Some(RData::AAAA(address.into())),
                _ => None,
            })
            .collect();
        let (all, first) = (family.len(), turn.checked_rem(family.len()).unwrap_or(0));
        family.into_iter().cycle().skip(first).take(all.min(MAX_ADDRESSES))
    }

    fn start_of_authority(&self) -> Record {
        let soa = SOA::new(Name::root(), Name::root(), 1, 3_600, 600, 86_400, self.ttl);
        Record::from_rdata(Name::root(), self.ttl, RData::SOA(soa))
    }
}

/// How long an answer may be.
fn room(query: &Message, over: Over) -> usize {
    match over {
        Over::Tcp => usize::from(u16::MAX),
        Over::Udp { busy: true } => 0,
        Over::Udp { busy: false } => {
            let takes = query.edns.as_ref().map_or(MAX_PLAIN, Edns::max_payload);
            usize::from(takes.clamp(MAX_PLAIN, MAX_MESSAGE))
        }
    }
}

fn kind(response: &Message) -> &'static str {
    match response.metadata.response_code {
        ResponseCode::NoError if response.answers.is_empty() => "no-data",
        ResponseCode::NoError => "answered",
        ResponseCode::NXDomain => "no-such-name",
        ResponseCode::ServFail => "no-address",
        _ => "refused",
    }
}

enum Service {
    /// `_xmpp-server._tcp` of this name.
    Xmpp(Name),
    /// `_tcp` of a name: there is nothing, but something below it, so it exists (RFC 8020 §2,
    /// RFC 4592 §2.2.2).
    Above,
    /// Some other service or underscored name.
    Other,
    /// A host.
    None,
}

fn service(name: &Name) -> Service {
    let is = |label: &[u8], text: &str| label.eq_ignore_ascii_case(text.as_bytes());
    let labels: Vec<&[u8]> = name.iter().collect();
    let (prefix, host) = match &labels[..] {
        [service, protocol, host @ ..] if is(service, "_xmpp-server") && is(protocol, "_tcp") => {
            (2, host)
        }
        [protocol, host @ ..] if is(protocol, "_tcp") => (1, host),
        host => (0, host),
    };
    let is_host = !host.iter().any(|label| label.starts_with(b"_"));
    match prefix {
        0 if is_host => Service::None,
        1 if is_host && !host.is_empty() => Service::Above,
        2 if is_host && !host.is_empty() => Service::Xmpp(name.trim_to(host.len())),
        _ => Service::Other,
    }
}

/// What can be answered to bytes that are no message: their id, if they were meant as a question.
fn format_error(question: &[u8]) -> Option<Answer> {
    let [high, low, flags, ..] = question else { return None };
    let is_question = question.len() >= 12 && flags & 0x80 == 0;
    let id = u16::from_be_bytes([*high, *low]);
    let error = Message::error_msg(id, OpCode::Query, ResponseCode::FormErr);
    let bytes = error.to_vec().ok().filter(|_| is_question)?;
    Some(Answer { bytes, kind: "refused" })
}
