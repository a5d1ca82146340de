//! What the transactions tell their user.

use super::{ClientId, ServerId};

/// What a request that arrived is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// To be answered with [`super::Transactions::respond`].
    New(ServerId),
    /// Seen before; the last response went out again, if there is one.
    Retransmission,
    /// An ACK that no failed INVITE waits for: it follows a 2xx (RFC 3261 §17.1).
    Ack,
    /// A CANCEL: the transaction it came in and the one it means (RFC 3261 §9.2).
    Cancel { own: ServerId, meant: Option<ServerId> },
    /// No room for another transaction.
    Full,
}

/// Something that time or the network did to a transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// No final response came in time (timer B or F).
    TimedOut(ClientId),
    /// The request could not be sent.
    Unsent(ClientId),
    /// Nothing more will come: the transaction is gone.
    ClientGone(ClientId),
    /// A non-INVITE is unanswered for so long that its sender needs a 100 (RFC 4320 §4.1).
    TryingDue(ServerId),
    /// A request can no longer be answered, or needs no answer any more.
    ServerGone(ServerId),
}
