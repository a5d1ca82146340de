//! What the router is told by the store, and what it asks its caller to do.

use openfed_proto::domain::Domain;
use openfed_proto::finding::Settled;
use openfed_proto::link::{Attempt, DomainUse, Era, FromRouter, StreamView, TrialStep};
use openfed_proto::packet::{Conversation, Direction, Outcome, PacketId, Role, TraceContext};
use openfed_proto::route::{DomainPattern, DomainRow, Origin, StaticRoute};

use crate::decide::Decision;
use crate::domains::Rows;
use crate::nodes::LinkId;

/// News from the store.
#[derive(Clone, Debug, PartialEq)]
pub enum StoreFact {
    /// All there is, as of `version` in this era; replaces what was known, also what was newer.
    Snapshot {
        era: Era,
        version: u64,
        rows: Rows,
        routes: Vec<StaticRoute>,
        blocked: Vec<DomainPattern>,
        pinned: Vec<Domain>,
    },
    /// What changed up to and including `version`. Old news is ignored.
    Changes { version: u64, changes: Vec<TableChange> },
    /// The store answers again.
    Up,
    /// The store does not answer; the tables known so far stay in force.
    Down,
}

/// One change of the store.
#[derive(Clone, Debug, PartialEq)]
pub enum TableChange {
    /// A row was added, or its origin changed.
    Row(Domain, Origin),
    RowRemoved(Domain),
    /// All static routes, as they are now.
    Routes(Vec<StaticRoute>),
    /// All blocked domains, as they are now.
    Blocked(Vec<DomainPattern>),
    /// All domains pinned to XMPP, as they are now.
    Pinned(Vec<Domain>),
}

/// What became of a [`Command::Insert`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertResult {
    /// The row is in the store, by this or an earlier insert, as of `version`.
    Present { version: u64 },
    /// The store's own check refused it: not open any more, blocked, or full.
    Refused(&'static str),
    /// The store did not answer in time.
    Unavailable,
}

/// What the caller must do.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Send the frame over the link. A full queue counts as a lost link.
    Send { link: LinkId, frame: FromRouter },
    /// Send the attempt over the link. If the packet is sampled, a span
    /// `xcp.route` begins here, and the packet's trace context becomes its.
    Attempt { link: LinkId, attempt: Attempt, decision: Decision },
    /// The attempt is over: its span ends, failed with `condition` if there is
    /// one. Only for sampled packets.
    AttemptOver { id: PacketId, number: u32, condition: Option<&'static str> },
    /// A packet ended. Send the outcome over the link, if it is up; count it.
    Finished(Box<Finished>),
    /// A connection manager has refused a request by itself, and answered it: show it.
    Refused(Box<Finished>),
    /// Insert the row, if the store still allows it, and tell the result with
    /// [`Router::handle_inserted`](crate::Router::handle_inserted) within 250 ms.
    Insert { id: PacketId, row: DomainRow, cap: u64 },
    /// Add these uses to the rows of the domain table.
    Touch(Vec<DomainUse>),
    /// Ask the store about which rows XMPP is to be asked again by `now` (seconds since the Unix
    /// epoch), and tell them with [`Router::handle_due`](crate::Router::handle_due).
    FindDue { now: u64, limit: usize },
    /// Take the question about the domain, which was due at `due` and is due again at `next`, and
    /// tell whether it could be had with
    /// [`Router::handle_claimed`](crate::Router::handle_claimed).
    Claim { id: PacketId, domain: Domain, due: u64, next: u64 },
    /// Remove the row, or note that it is proven, if it is still discovered and without a proof.
    Settle { domain: Domain, settled: Settled },
    /// Drop these rows where no packet waits for it: a million take a tenth of a second.
    Discard(Rows),
    /// Close the link: its peer broke the manners, or has a newer one.
    Close { link: LinkId, reason: &'static str },
    /// Say that a part works badly, or (`None`) well again.
    Health { part: &'static str, problem: Option<&'static str> },
    /// A node has told of its streams; somebody may look at them.
    Streams { node: String, streams: Vec<StreamView>, total: u32 },
    /// A node has told what it found in a trial; somebody waits for it.
    Tried { node: String, number: u64, steps: Vec<TrialStep> },
    /// Log and count.
    Event(Event),
}

/// A packet's end and what its way looked like.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// Where to send the outcome; `None` while the origin is not linked: it is
    /// kept and sent when the origin comes back.
    pub link: Option<LinkId>,
    pub outcome: Outcome,
    pub domain: Domain,
    pub direction: Direction,
    pub decision: Decision,
    pub conversation: Conversation,
    /// The context that the packet came with.
    pub trace: TraceContext,
    /// Attempts that were made; without any, the span `xcp.route` is still due.
    pub attempts: u32,
    /// Microseconds since the Unix epoch.
    pub started_us: u64,
    /// Microseconds since the Unix epoch.
    pub ended_us: u64,
    /// Whether to show it among the recent flows; limited at high rates.
    pub show: bool,
}

/// A change that people want to know of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    NodeUp {
        node: String,
        role: Role,
        address: String,
    },
    NodeLeaving {
        node: String,
        role: Role,
    },
    /// After `NodeLeaving`, it takes packets again.
    NodeServing {
        node: String,
        role: Role,
    },
    NodeDown {
        node: String,
        role: Role,
    },
    /// The discovery of a domain began.
    DiscoveryBegan {
        id: PacketId,
        domain: Domain,
        direction: Direction,
    },
    /// A row was inserted by this node.
    Discovered {
        domain: Domain,
        direction: Direction,
    },
    /// The store went back in time, or another one took its place: what was changed between the two
    /// versions is lost.
    StoreWentBack {
        from: u64,
        to: u64,
    },
    /// XMPP was asked again about a domain without a proof.
    AskedAgain {
        /// `None`: it is not known any better.
        settled: Option<Settled>,
    },
    /// A correspondence succeeded, but no row was inserted.
    NoRow {
        domain: Domain,
        reason: &'static str,
    },
}
