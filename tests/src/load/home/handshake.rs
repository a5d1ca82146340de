//! From a TCP connection to a stream on which stanzas may flow (RFC 6120 §5, XEP-0220, XEP-0288).

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsStream;

use super::super::cutter::{Cutter, Piece, attribute};
use super::Names;
use super::tls::Tls;
use crate::{Failure, Result};

const STARTTLS: &str = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const PROCEED: &str = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
const DIALBACK: &str = "<dialback xmlns='urn:xmpp:features:dialback'/>";
const BIDI: &str = "<bidi xmlns='urn:xmpp:bidi'/>";

/// A stream under TLS, and what has been read of it.
pub(super) struct Secured {
    pub(super) stream: TlsStream<TcpStream>,
    pub(super) cutter: Cutter,
}

/// The peer opened the connection; dialback comes later, among what it sends.
pub(super) async fn respond(mut socket: TcpStream, names: &Names, tls: &Tls) -> Result<Secured> {
    socket.set_nodelay(true)?;
    let mut cutter = Cutter::default();
    header_of_peer(&mut socket, &mut cutter).await?;
    say(&mut socket, &(header(names, "first") + &features(STARTTLS))).await?;
    element(&mut socket, &mut cutter, "<starttls").await?;
    say(&mut socket, PROCEED).await?;
    let mut stream = tls.accept(socket).await?;
    let mut cutter = Cutter::default();
    header_of_peer(&mut stream, &mut cutter).await?;
    say(&mut stream, &(header(names, "second") + &features(DIALBACK))).await?;
    Ok(Secured { stream, cutter })
}

/// We opened the connection, and want stanzas both ways.
pub(super) async fn initiate(mut socket: TcpStream, names: &Names, tls: &Tls) -> Result<Secured> {
    socket.set_nodelay(true)?;
    let mut cutter = Cutter::default();
    say(&mut socket, &header(names, "")).await?;
    element(&mut socket, &mut cutter, "<stream:features").await?;
    say(&mut socket, STARTTLS).await?;
    element(&mut socket, &mut cutter, "<proceed").await?;
    let mut stream = tls.connect(socket, names.remote).await?;
    let mut cutter = Cutter::default();
    say(&mut stream, &header(names, "")).await?;
    element(&mut stream, &mut cutter, "<stream:features").await?;
    let Names { local, remote, .. } = names;
    let key = format!("{BIDI}<db:result from='{local}' to='{remote}'>of-load</db:result>");
    say(&mut stream, &key).await?;
    let result = element(&mut stream, &mut cutter, "<db:result").await?;
    if attribute(&result, "type") == Some(b"valid") {
        return Ok(Secured { stream, cutter });
    }
    Err(Failure::new(format!("dialback: {}", result.escape_ascii())))
}

/// Answers a dialback question, whether a key or one to be verified: it is good.
pub(super) fn believe(question: &[u8], out: &mut Vec<u8>) {
    let value = |name| attribute(question, name).unwrap_or_default();
    let name: &[u8] = if question.starts_with(b"<db:verify") { b"verify" } else { b"result" };
    for part in [b"<db:", name, b" type='valid' from='", value("to"), b"' to='", value("from")] {
        out.extend_from_slice(part);
    }
    if name == b"verify" {
        out.extend_from_slice(b"' id='");
        out.extend_from_slice(value("id"));
    }
    out.extend_from_slice(b"'/>");
}

/// A header of ours; the responder's has an id.
fn header(names: &Names, id: &str) -> String {
    let id = if id.is_empty() { String::new() } else { format!(" id='{id}'") };
    format!(
        "<?xml version='1.0'?><stream:stream xmlns='jabber:server' \
         xmlns:stream='http://etherx.jabber.org/streams' xmlns:db='jabber:server:dialback' \
         from='{}' to='{}'{id} version='1.0'>",
        names.local, names.remote
    )
}

fn features(feature: &str) -> String {
    format!("<stream:features>{feature}</stream:features>")
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), text: &str) -> Result<()> {
    stream.write_all(text.as_bytes()).await?;
    Ok(stream.flush().await?)
}

async fn header_of_peer(stream: &mut (impl AsyncRead + Unpin), cutter: &mut Cutter) -> Result<()> {
    loop {
        if let Some(Piece::Header(_)) = cutter.next() {
            return Ok(());
        }
        more(stream, cutter).await?;
    }
}

/// The next element, which must begin like this; headers are passed over.
async fn element(
    stream: &mut (impl AsyncRead + Unpin),
    cutter: &mut Cutter,
    wanted: &str,
) -> Result<Vec<u8>> {
    loop {
        match cutter.next() {
            Some(Piece::Element(element)) if element.starts_with(wanted.as_bytes()) => {
                return Ok(element.to_vec());
            }
            Some(Piece::Element(element)) => {
                let element = element.escape_ascii();
                return Err(Failure::new(format!("{element} instead of {wanted}")));
            }
            Some(Piece::Footer) => return Err(Failure::new(format!("end instead of {wanted}"))),
            Some(Piece::Header(_)) => {}
            None => more(stream, cutter).await?,
        }
    }
}

async fn more(stream: &mut (impl AsyncRead + Unpin), cutter: &mut Cutter) -> Result<()> {
    match stream.read_buf(cutter.buffer()).await? {
        0 => Err(Failure::new("the connection ended")),
        _ => Ok(()),
    }
}
