//! A person who types raw XML: a client that writes and shows every byte as it is, where a library
//! would prepare the addresses.

use std::net::SocketAddr;
use std::sync::Arc;

use minidom::Element;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;
use xmpp_cm_core::xml::{Item, Limits, Parser};

use crate::scene::SOON;
use crate::seen::Seen;
use crate::{Failure, Result};

/// A logged-in client; dropped means gone.
pub struct Typist {
    socket: OwnedWriteHalf,
    /// All stanzas that came.
    pub stanzas: Arc<Seen<Element>>,
    task: JoinHandle<()>,
}

impl Typist {
    /// Logs `user` of `domain` in at the server at `address`, without TLS, and becomes available.
    pub async fn login(
        (user, domain): (&str, &str),
        password: &str,
        address: SocketAddr,
    ) -> Result<Self> {
        let (mut reader, mut socket) = TcpStream::connect(address).await?.into_split();
        let header = format!(
            "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams' to='{domain}' version='1.0'>"
        );
        let secret = base64(format!("\0{user}\0{password}").as_bytes());
        let auth = format!(
            "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{secret}</auth>"
        );
        for (say, until) in
            [(&header, "</stream:features>"), (&auth, "<success"), (&header, "</stream:features>")]
        {
            socket.write_all(say.as_bytes()).await?;
            hear(&mut reader, until).await?;
        }
        let bind = "<iq type='set' id='bind'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
        socket.write_all(bind.as_bytes()).await?;
        // COMPAT(jabberd2): it closes a stream on which more comes before there is a session.
        hear(&mut reader, "</iq>").await?;
        // The server has processed the presence when it has answered what came after it.
        let ping =
            format!("<iq type='get' id='ping' to='{domain}'><ping xmlns='urn:xmpp:ping'/></iq>");
        socket.write_all(format!("<presence/>{ping}").as_bytes()).await?;
        let stanzas = Arc::<Seen<Element>>::default();
        let task = tokio::spawn(read(reader, Arc::clone(&stanzas)));
        let available = |it: &Element| it.attr("id") == Some("ping");
        stanzas.wait_for(&format!("login of {user}"), SOON, available).await?;
        Ok(Self { socket, stanzas, task })
    }

    /// Sends what is typed.
    pub async fn types(&mut self, xml: &str) -> Result<()> {
        Ok(self.socket.write_all(xml.as_bytes()).await?)
    }
}

impl Drop for Typist {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads up to the end of `until`, which is the end of what the server says.
async fn hear(reader: &mut OwnedReadHalf, until: &str) -> Result<()> {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(until) {
        if reader.read_buf(&mut heard).await? == 0 {
            let heard = String::from_utf8_lossy(&heard).into_owned();
            return Err(Failure::new(format!("no {until} from the home server, but {heard}")));
        }
    }
    Ok(())
}

/// The stream goes on behind its header, which a parser wants to see: that of servers, which is why
/// stanzas lose the namespace of clients, where a server (jabberd2) writes it on each of them.
async fn read(mut reader: OwnedReadHalf, stanzas: Arc<Seen<Element>>) {
    let mut parser = Parser::new(Limits::default());
    let mut text = "<stream:stream xmlns='jabber:server' \
        xmlns:stream='http://etherx.jabber.org/streams'>"
        .to_owned();
    let mut heard = Vec::new();
    loop {
        let mut input = text.as_bytes();
        while let Ok(Some(item)) = parser.next(&mut input) {
            if let Item::Element(stanza) = item {
                stanzas.push(stanza);
            }
        }
        match reader.read_buf(&mut heard).await {
            Ok(1..) => {}
            _ => return,
        }
        // No tag is read in parts.
        let whole = heard.iter().rposition(|byte| *byte == b'>').map_or(0, |at| at + 1);
        let tags: Vec<u8> = heard.drain(..whole).collect();
        text = String::from_utf8_lossy(&tags).replace(" xmlns='jabber:client'", "");
    }
}

/// RFC 4648 §4, of a few bytes.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at > three.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_of_each_length() {
        assert_eq!(
            ["", "f", "fo", "foo"].map(|it| base64(it.as_bytes())),
            ["", "Zg==", "Zm8=", "Zm9v"]
        );
    }
}
