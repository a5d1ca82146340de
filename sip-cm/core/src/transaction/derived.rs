//! Messages that follow from others: ACK, CANCEL, and where a response goes.

use std::net::SocketAddr;

use bytes::Bytes;
use openfed_proto::route::Transport;

use crate::command::{Arrival, Hop};
use crate::config::default_port;
use crate::headers::{HeaderId, Via};
use crate::wire::Message;

/// Where responses to a request go (RFC 3261 §18.2.2, RFC 3581 §4, E-08). The connection it came
/// on, if there is one; else the address it came from, with the port that its Via names. `maddr`
/// is not followed: it would let a request aim our responses at anybody.
pub(crate) fn response_hop(request: &Message, arrival: &Arrival) -> Hop {
    hop_by_via(request.top_via().ok().as_ref(), arrival)
}

/// The same with the topmost Via at hand.
pub(crate) fn hop_by_via(via: Option<&Via>, arrival: &Arrival) -> Hop {
    let sent_by_port = via.and_then(Via::port);
    let symmetric = via.is_some_and(|via| via.rport().is_some());
    let port = match arrival.transport {
        Transport::Udp if symmetric => arrival.source.port(),
        transport => sent_by_port.unwrap_or(default_port(transport)),
    };
    Hop {
        transport: arrival.transport,
        address: SocketAddr::new(arrival.source.ip(), port),
        flow: Some(arrival.flow),
        name: None,
    }
}

/// The ACK for a final response that is no 2xx (RFC 3261 §17.1.1.3).
pub(crate) fn ack_of(invite: &Message, response: &Message) -> Message {
    let mut ack = follow_up("ACK", invite);
    if let Some(to) = response.header(HeaderId::To) {
        ack.set(HeaderId::To, &String::from_utf8_lossy(to.value()));
    }
    ack
}

/// The CANCEL of a pending INVITE (RFC 3261 §9.1).
pub(crate) fn cancel_of(invite: &Message) -> Message {
    follow_up("CANCEL", invite)
}

/// A request in the transaction of another one: same top Via, Route, From, To, Call-ID and CSeq
/// number, and the answers to challenges (RFC 3261 §22.1).
fn follow_up(method: &str, invite: &Message) -> Message {
    let uri = match invite.start() {
        crate::wire::StartLine::Request { uri, .. } => uri.clone(),
        crate::wire::StartLine::Response { .. } => Default::default(),
    };
    let mut request = Message::request(method, &uri);
    if let Ok(via) = invite.top_via() {
        request.push("Via", via.as_str());
    }
    request.push("Max-Forwards", "70");
    for header in invite.headers() {
        let id = header.id();
        let answers = matches!(id, HeaderId::Authorization | HeaderId::ProxyAuthorization);
        let kept = matches!(id, HeaderId::Route | HeaderId::From | HeaderId::To | HeaderId::CallId);
        if kept || (answers && method == "ACK") {
            request.push(id.name(), &String::from_utf8_lossy(header.value()));
        }
    }
    let number = invite.cseq().map_or(0, |cseq| cseq.number);
    request.push("CSeq", &format!("{number} {method}"));
    request.set_body(None, Bytes::new());
    request
}
