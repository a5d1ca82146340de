//! A user of the home server: login step by step, so that the step that fails can be named.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use openfed_node::settings::HostPort;
use tokio::time::timeout;
use tokio_xmpp::connect::{
    AsyncReadAndWrite, DnsConfig, ServerConnector, StartTlsServerConnector, TcpServerConnector,
};
use tokio_xmpp::error::{AuthError, Error, ProtocolError};
use tokio_xmpp::jid::Jid;
use tokio_xmpp::parsers::bind::BindQuery;
use tokio_xmpp::parsers::iq::Iq;
use tokio_xmpp::parsers::message::{Id, Lang, Message};
use tokio_xmpp::parsers::ns;
use tokio_xmpp::parsers::presence::Presence;
use tokio_xmpp::parsers::sasl::DefinedCondition;
use tokio_xmpp::parsers::stanza::Stanza;
use tokio_xmpp::xmlstream::{ReadError, StreamHeader, Timeouts, XmppStream, XmppStreamElement};

const LIMIT: Duration = Duration::from_secs(15);

/// What is needed to log in.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) jid: &'a str,
    pub(super) password_file: &'a Path,
    pub(super) server: Option<&'a HostPort>,
    pub(super) no_tls: bool,
}

/// A user who is logged in and available.
pub(super) struct HomeUser {
    stream: XmppStream<Box<dyn AsyncReadAndWrite + Send>>,
}

/// What went wrong, and what to do.
pub(super) struct Trouble {
    pub(super) finding: String,
    pub(super) advice: &'static str,
}

impl Trouble {
    fn new(finding: impl Into<String>, advice: &'static str) -> Self {
        Self { finding: finding.into(), advice }
    }
}

impl HomeUser {
    /// Connects, logs in, becomes available.
    pub(super) async fn login(login: Login<'_>) -> Result<Self, Trouble> {
        let jid: Jid = login.jid.parse().map_err(|error| {
            Trouble::new(format!("--user is no JID: {error}"), "write it as user@domain")
        })?;
        if jid.node().is_none() {
            return Err(Trouble::new("--user names no user", "write it as user@domain"));
        }
        let password = std::fs::read_to_string(login.password_file).map_err(|error| {
            let finding = format!("{} cannot be read: {error}", login.password_file.display());
            Trouble::new(finding, "give the file that holds the password and nothing else")
        })?;
        let password = password.trim_end_matches(['\r', '\n']).to_owned();
        let at = match login.server {
            Some(at) => match at.socket_addr() {
                Some(address) => DnsConfig::addr(&address.to_string()),
                None => DnsConfig::no_srv(&at.host, at.port),
            },
            None => DnsConfig::srv_default_client(jid.domain().as_str()),
        };
        let session = async {
            if login.no_tls {
                here(login.server)?;
                Self::open(TcpServerConnector::from(at), jid, password).await
            } else {
                Self::open(StartTlsServerConnector::from(at), jid, password).await
            }
        };
        let late = || Trouble::new("the home server does not answer within 15 s", SERVER);
        timeout(LIMIT, session).await.unwrap_or_else(|_| Err(late()))
    }

    async fn open<C: ServerConnector>(
        connector: C,
        jid: Jid,
        password: String,
    ) -> Result<Self, Trouble>
    where
        C::Stream: Send + 'static,
    {
        let timeouts = Timeouts::default();
        let connected = connector.connect(&jid, ns::JABBER_CLIENT, timeouts).await;
        let (pending, channel_binding) = connected.map_err(|error| connection(&error))?;
        let (features, stream) =
            pending.recv_features().await.map_err(|error| connection(&error.into()))?;
        let user = jid.node().map(|node| node.as_str().to_owned()).unwrap_or_default();
        let credentials = sasl::common::Credentials::default()
            .with_username(user)
            .with_password(password)
            .with_channel_binding(channel_binding);
        let authenticated =
            tokio_xmpp::client_login(stream, features.sasl_mechanisms, credentials).await;
        let stream = authenticated.map_err(|error| refusal(&error))?;
        let domain = jid.domain().as_str().to_owned();
        let header = StreamHeader { to: Some(Cow::Owned(domain)), from: None, id: None };
        let stream = stream.send_header(header).await.map_err(lost)?;
        let (_, stream): (_, XmppStream<_>) =
            stream.recv_features().await.map_err(|error| connection(&error.into()))?;
        let mut user = Self { stream: stream.box_stream() };
        user.bind().await?;
        user.send(Presence::available().into()).await?;
        Ok(user)
    }

    async fn bind(&mut self) -> Result<(), Trouble> {
        self.send(Iq::from_set("bind", BindQuery::new(None)).into()).await?;
        loop {
            match self.next().await? {
                Stanza::Iq(Iq::Result { .. }) => return Ok(()),
                Stanza::Iq(Iq::Error { error, .. }) => {
                    let finding = format!("the home server binds no resource: {error:?}");
                    return Err(Trouble::new(finding, SERVER));
                }
                _ => {}
            }
        }
    }

    /// Sends a chat message.
    pub(super) async fn say(&mut self, to: Jid, id: &str, text: &str) -> Result<(), Trouble> {
        let mut message = Message::chat(to).with_body(Lang::new(), text.to_owned());
        message.id = Some(Id(id.to_owned()));
        self.send(message.into()).await
    }

    /// The next message; other stanzas are passed over.
    pub(super) async fn hear(&mut self) -> Result<Message, Trouble> {
        loop {
            if let Stanza::Message(message) = self.next().await? {
                return Ok(message);
            }
        }
    }

    /// Leaves politely.
    pub(super) async fn leave(mut self) {
        let _ =
            timeout(Duration::from_secs(1), SinkExt::<&XmppStreamElement>::close(&mut self.stream))
                .await;
    }

    async fn send(&mut self, stanza: Stanza) -> Result<(), Trouble> {
        self.stream.send(&XmppStreamElement::Stanza(stanza)).await.map_err(lost)
    }

    async fn next(&mut self) -> Result<Stanza, Trouble> {
        loop {
            match self.stream.next().await.map(|read| read.and_then(|read| read.into_read_error()))
            {
                Some(Ok(XmppStreamElement::Stanza(stanza))) => return Ok(stanza),
                Some(Ok(XmppStreamElement::StreamError(error))) => {
                    let finding = format!("the home server ended the session: {error}");
                    return Err(Trouble::new(finding, SERVER));
                }
                // What is not understood is not for us.
                Some(Ok(_) | Err(ReadError::SoftTimeout | ReadError::ParseError(_))) => {}
                Some(Err(ReadError::HardError(error))) => return Err(lost(error)),
                Some(Err(ReadError::StreamFooterReceived)) | None => {
                    return Err(Trouble::new("the home server ended the session", SERVER));
                }
            }
        }
    }
}

const SERVER: &str = "look into the home server's log";

/// Without TLS the password would be read on the way.
fn here(server: Option<&HostPort>) -> Result<(), Trouble> {
    let address = server.and_then(HostPort::socket_addr);
    if address.is_some_and(|address| address.ip().is_loopback()) {
        return Ok(());
    }
    Err(Trouble::new(
        "--no-tls sends the password in the clear",
        "use it only with a loopback address in --server",
    ))
}

fn lost(error: io::Error) -> Trouble {
    Trouble::new(format!("the connection to the home server broke: {error}"), SERVER)
}

fn connection(error: &Error) -> Trouble {
    let advice = match error {
        Error::DnsNet(_) | Error::DnsProto(_) | Error::Idna => {
            "its name cannot be resolved: name the server with --server HOST:PORT"
        }
        Error::Protocol(ProtocolError::NoTls) => {
            "it offers no STARTTLS: give it a certificate; for a server on this machine --no-tls"
        }
        Error::Connection(_) => {
            "its certificate is not trusted or not for this domain: SSL_CERT_FILE"
        }
        Error::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            "its certificate is not trusted or not for this domain: SSL_CERT_FILE names the \
             authority"
        }
        _ => "start the home server, or say where it listens for clients: --server HOST:PORT",
    };
    Trouble::new(format!("no connection to the home server: {error}"), advice)
}

fn refusal(error: &Error) -> Trouble {
    match error {
        Error::Auth(AuthError::Fail(DefinedCondition::NotAuthorized)) => Trouble::new(
            "the home server refuses the user name or the password",
            "correct --user or the password file",
        ),
        Error::Auth(AuthError::Fail(condition)) => {
            Trouble::new(format!("the home server refuses the login: {condition:?}"), SERVER)
        }
        Error::Auth(AuthError::NoMechanism) => Trouble::new(
            "the home server offers no way to log in with a password",
            "allow SCRAM-SHA-1, SCRAM-SHA-256 or PLAIN",
        ),
        error => connection(error),
    }
}
