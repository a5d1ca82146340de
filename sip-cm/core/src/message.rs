//! Instant messages: SIP MESSAGE ⇄ [`Message`](openfed_proto::packet::Message) (RFC 7572,
//! RFC 3428; S-098…S-113).
//!
//! | XMPP | SIP |
//! |---|---|
//! | body | text/plain body; from SIP also text/html, with XHTML-IM beside the body |
//! | subject | Subject |
//! | thread | Call-ID |
//! | id | the branch |
//! | xml:lang | Content-Language |
//! | resource | `gr` of the URI |

mod cpim;
mod html;
mod names;
mod text;
mod transfer;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use openfed_proto::address::Address;
use openfed_proto::condition::Condition;
use openfed_proto::packet::{Cause, Failure, Html, Message as InstantMessage, Packet, Text};

use crate::headers::{HeaderId, MediaType};
use crate::random::Random;
use crate::status::Refusal;
use crate::wire::Message;

/// The longest MESSAGE outside of a session, Via included (RFC 3428 §8, S-105).
pub(crate) const MAX_PAGER: usize = 1_300;
/// The longest Subject that is passed on, in bytes.
const MAX_SUBJECT: usize = 256;

/// What a MESSAGE says (S-101).
pub(crate) fn read(request: &Message) -> Result<InstantMessage, Refusal> {
    let encodings = request.list(HeaderId::ContentEncoding).map_err(|_| Refusal::MediaType)?;
    if !encodings.iter().all(|encoding| encoding.eq_ignore_ascii_case("identity")) {
        return Err(Refusal::MediaType);
    }
    let kind = request.content_type().map_err(|_| MALFORMED)?;
    let lang = language(request);
    let mut subject =
        request.text(HeaderId::Subject).map_err(|_| MALFORMED)?.map(|s| s.to_string());
    let encoding = request.text(HeaderId::ContentTransferEncoding).map_err(|_| MALFORMED)?;
    let body = transfer::decode(encoding.as_deref(), request.body())?;
    let (text, html) = match &kind {
        Some(kind) if kind.is("message/cpim") => {
            let inner = cpim::unwrap(&body)?;
            subject = subject.or(inner.subject);
            said(inner.kind.as_ref(), &inner.body)?
        }
        kind => said(kind.as_ref(), &body)?,
    };
    let branch = request.top_via().ok();
    let subject = subject.map(|s| text::legal(&s)).filter(|s| !s.is_empty());
    Ok(InstantMessage {
        id: branch.as_ref().and_then(|via| via.branch()).map(names::id_of_branch),
        thread: request.call_id().ok().map(|call_id| names::thread_of_call_id(&call_id)),
        chat: false,
        subjects: subject.map(|text| Text { lang: lang.clone(), text }).into_iter().collect(),
        bodies: vec![Text { lang, text }],
        html,
    })
}

/// What a body says, and how it is formatted. RFC 3261 §7.4.1 wants a type; senders that leave it
/// out mean text.
fn said(kind: Option<&MediaType>, body: &[u8]) -> Result<(String, Option<Html>), Refusal> {
    let text = |kind: Option<&MediaType>| text::decode(kind.and_then(charset), body);
    match kind {
        Some(kind) if kind.is("text/html") => {
            let html = html::convert(&text(Some(kind))?);
            Ok((html.text, html.markup.map(Html)))
        }
        Some(kind) if !kind.is("text/plain") => Err(Refusal::MediaType),
        kind => Ok((text(kind)?, None)),
    }
}

const MALFORMED: Refusal = Refusal::Malformed("a header cannot be read");

fn charset(kind: &MediaType) -> Option<&str> {
    kind.params().value("charset")
}

/// The first language tag (RFC 3261 §20.13, S-109).
fn language(request: &Message) -> Option<String> {
    let first = request.list(HeaderId::ContentLanguage).ok()?.into_iter().next()?;
    is_language(&first).then(|| first.to_string())
}

/// A MESSAGE that is ready but for its Via.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) request: Message,
    /// The sender's id of it, for the branch.
    id: Option<String>,
}

impl Outbound {
    /// The branch for one way of sending it.
    pub(crate) fn branch(&self, unique: &str) -> String {
        names::branch_of_id(unique, self.id.as_deref())
    }
}

/// Writes the MESSAGE that says what `message` does (S-098, S-099, S-112), in the name of `from`.
pub(crate) fn write(
    packet: &Packet,
    from: &Address,
    message: &InstantMessage,
    random: &mut Random,
) -> Result<Outbound, Failure> {
    let malformed = |_| Failure::new(Condition::JidMalformed, Cause::Policy);
    let to = packet.to.to_sip_uri().map_err(malformed)?;
    let from = from.to_sip_uri().map_err(malformed)?;
    let Some(body) = message.bodies.first() else {
        return Err(Failure::new(Condition::NotAcceptable, Cause::Unmappable));
    };
    let mut request = Message::request("MESSAGE", &to);
    request.push("Max-Forwards", "70");
    request.push("From", &format!("<{from}>;tag={}", random.token()));
    request.push("To", &format!("<{to}>"));
    let call_id = match message.thread.as_deref().filter(|thread| !thread.is_empty()) {
        Some(thread) => names::call_id_of_thread(thread),
        None => random.token() + &random.token(),
    };
    request.push("Call-ID", &call_id);
    // Fresh, as the Call-ID may have been used before: else 482 (S-112, RFC 3261 §8.2.2.2).
    request.push("CSeq", &format!("{} MESSAGE", 1 + random.below(1 << 30)));
    if let Some(subject) = pick(&message.subjects, body.lang.as_deref()) {
        let subject = one_line(&subject.text);
        if !subject.is_empty() {
            request.push("Subject", &subject);
        }
    }
    if let Some(lang) = body.lang.as_deref().filter(|lang| is_language(lang)) {
        request.push("Content-Language", lang);
    }
    request
        .set_body(Some("text/plain;charset=UTF-8"), Bytes::copy_from_slice(body.text.as_bytes()));
    Ok(Outbound { request, id: message.id.clone() })
}

/// The text in the language of the body, else the first (S-109).
fn pick<'a>(texts: &'a [Text], lang: Option<&str>) -> Option<&'a Text> {
    texts.iter().find(|text| text.lang.as_deref() == lang).or(texts.first())
}

fn is_language(tag: &str) -> bool {
    !tag.is_empty()
        && tag.len() <= 35
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// A header value has one line; what is too long is cut at a character.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        if line.len() + c.len_utf8() > MAX_SUBJECT {
            break;
        }
        line.push(c);
    }
    line.trim().to_owned()
}

/// S-105: measured as it goes on the wire, in bytes.
pub(crate) fn check_size(request: &Message) -> Result<(), Failure> {
    if request.to_bytes().len() <= MAX_PAGER {
        return Ok(());
    }
    Err(Failure::new(Condition::PolicyViolation, Cause::Policy)
        .with_text("the message is too long for this network"))
}
