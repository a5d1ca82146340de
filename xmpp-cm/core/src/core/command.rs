//! What the core tells its shell to do, and what it lets it know.

use std::net::SocketAddr;

use bytes::Bytes;
use openfed_proto::address::Preparation;
use openfed_proto::domain::Domain;
use openfed_proto::link::FromCm;
use openfed_proto::packet::{Ending, Failure, PacketId, TraceContext};

/// Names a connection for as long as the core lives; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// Names a link to a router; the shell gives a new one to every new link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouterId(pub u64);

/// Something that the shell must do, in this order.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a command is moved once and dropped")]
pub enum Command {
    /// Connect, then say `handle_connected` or `handle_connect_failed`.
    Connect {
        /// The name of the new connection.
        conn: ConnId,
        /// Whom to reach.
        target: Target,
        /// Where one of its servers was tried already, and is not to be tried again.
        tried: Vec<Endpoint>,
    },
    /// Write these bytes.
    Transmit {
        /// The connection to write to.
        conn: ConnId,
        /// What to write.
        bytes: Bytes,
    },
    /// Say `handle_written` when all that was to be written before this is with the system.
    Mark {
        /// The connection.
        conn: ConnId,
        /// What to say.
        mark: u64,
    },
    /// Begin the TLS handshake, then say `handle_tls`.
    StartTls {
        /// The connection.
        conn: ConnId,
        /// Our part in the handshake.
        side: TlsSide,
    },
    /// Write what is still to be written, then close. Nothing about this connection is expected
    /// any more, and nothing that is still said about it has an effect.
    Close {
        /// The connection to close.
        conn: ConnId,
    },
    /// Stop reading a connection, so that its peer has to wait, or go on. What was read already may
    /// still be handed in.
    Read {
        /// The connection.
        conn: ConnId,
        /// Whether it is read.
        on: bool,
    },
    /// Take connections of peers, or close the port so that they go elsewhere.
    Listen(bool),
    /// Send a frame over a link.
    ToRouter {
        /// The link.
        router: RouterId,
        /// The frame.
        frame: FromCm,
    },
    /// For logs, metrics and spans; nothing depends on it.
    Note(Fact),
}

/// Whom a connection is to reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The home server of this local domain, at its configured address and nowhere else.
    Home(Domain),
    /// The servers of this foreign domain, found by DNS (RFC 6120 §3.2, XEP-0368).
    Foreign(Domain),
}

/// One way to reach a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// Where to connect.
    pub address: SocketAddr,
    /// TLS from the first byte (XEP-0368), else STARTTLS.
    pub direct_tls: bool,
}

/// What came of looking for a server, beside the connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Where it was tried, the connection's own place included.
    pub tried: Vec<Endpoint>,
    /// What those said that were of no use.
    pub missed: Option<ConnectFailure>,
    /// Whether there are places that were not tried.
    pub more: bool,
}

/// Our part in a TLS handshake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSide {
    /// We connected; the peer should be this domain.
    Client {
        /// The name to verify.
        domain: Domain,
        /// Towards a home server: the foreign domain that we are, by a certificate of our own
        /// authority. Foreign servers are shown the operator's, if there is one.
        minted: Option<Domain>,
    },
    /// A home server connected and wants this foreign domain: a certificate of our own authority.
    Home {
        /// The name to show.
        domain: Domain,
    },
    /// A foreign server connected and wants this local domain: the operator's certificate.
    Public {
        /// The name to show.
        domain: Domain,
    },
}

/// Why no connection came about. The kinds are those on which the rules depend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectFailure {
    /// NXDOMAIN, neither SRV nor address records, or the SRV target ".": DNS proves it.
    NotFound,
    /// Nobody announced a server, and nobody listens where one might be (E-44).
    Deserted,
    /// A server is announced, but refuses the connection at every address.
    Refused,
    /// Unreachable or silent at some address.
    Unreachable,
    /// The resolver failed or did not answer.
    Unresolved,
    /// The peer's certificate is wrong (direct TLS).
    Untrusted,
    /// Something is short on this machine: sockets, files.
    Busy,
}

/// Something that people may want to see.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A connection is being made; `trace` is that of the packet that needs it, if one does.
    Dialing {
        /// The connection.
        conn: ConnId,
        /// The domain that is to be reached.
        domain: Domain,
        /// The trace to hang the span `xmpp.connect` on.
        trace: Option<TraceContext>,
    },
    /// Stanzas can flow over the connection that was being made, or why not.
    Dialed {
        /// The connection.
        conn: ConnId,
        /// Why it failed.
        failure: Option<Failure>,
    },
    /// Stanzas can flow from `local` to `remote`.
    Up {
        /// The domain that we speak for.
        local: Domain,
        /// The domain of the peer.
        remote: Domain,
        /// Whether the stream is encrypted.
        encrypted: bool,
    },
    /// They no longer can, until a stream is opened again.
    Down {
        /// The domain that we spoke for.
        local: Domain,
        /// The domain of the peer.
        remote: Domain,
    },
    /// A peer was not let in, or its stream not gone on with: the stream error or dialback error that
    /// it got.
    Refused {
        /// Where it connected from; `None` on a stream that we opened.
        peer: Option<SocketAddr>,
        /// The domain that the peer claims, if it said one.
        claimed: Option<Domain>,
        /// The condition of the answer.
        condition: String,
    },
    /// How a home server prepares addresses has been found out.
    Names {
        /// The local domain.
        home: Domain,
        /// How.
        preparation: Preparation,
    },
    /// Whether a home server says that there is no such user, and before it answers a ping: only then
    /// what is told as delivered has been.
    Proof {
        /// The local domain.
        home: Domain,
        /// Whether it does.
        proves: bool,
    },
    /// A packet that came in here has its ending.
    Ended {
        /// The packet.
        id: PacketId,
        /// Its ending.
        ending: Ending,
    },
    /// An attempt has ended, and the link of whoever asked for it is gone.
    Unheard {
        /// The packet.
        id: PacketId,
        /// Its ending.
        ending: Ending,
    },
    /// A stanza passed from one stream to another without the routers.
    Passed {
        /// The foreign domain.
        domain: Domain,
    },
    /// A stanza was answered here with an error.
    Answered {
        /// The condition of the answer.
        condition: &'static str,
    },
    /// An answer of ours could not be given: no way back came about for too long, or it broke twice.
    Unanswered,
    /// A message that asks for no answer (typing, a receipt, a marker) ended here: where it went it
    /// means nothing (S-113).
    Unsaid,
    /// An error came for a message that was already reported as delivered.
    LateError,
    /// A server said something on a stream that we opened, where it speaks for nobody.
    Ignored {
        /// The domain that the stream leads to.
        domain: Domain,
    },
    /// A stream was closed because the peer gave no sign of life on it while it owed an answer.
    Silent {
        /// The domain of the peer, as far as it said one.
        domain: Option<Domain>,
    },
    /// A fence was not answered in time.
    FenceExpired {
        /// The domain of the server that did not answer.
        domain: Domain,
    },
}
