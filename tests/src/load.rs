//! Load: numbered messages at an exact rate, and what became of each of them.
//!
//! The tools are made to cost little, for they share the machine with what they measure: messages
//! are templates in which digits are written, and nothing is parsed beyond what has to be known.
//! They send at the times that a [`pace::Pace`] names, whatever the answers (open loop).

pub mod against;
mod cutter;
pub mod figures;
pub mod fleet;
pub mod home;
pub mod ledger;
mod mark;
pub mod memory;
pub mod overload;
pub mod pace;
mod prosody_users;
pub mod sip_sink;
pub mod sip_source;
pub mod sip_wire;
pub mod soak;
pub mod stage;
mod template;
pub mod xmpp_source;

/// Which way messages go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From a SIP user of ours to a known SIP domain.
    SipToSip,
    /// From a known SIP domain to an XMPP user of ours.
    SipToXmpp,
    /// From XMPP users of ours to a known SIP domain.
    XmppToSip,
    /// From a SIP user of ours to a domain that nobody knows, each time another one: it is not
    /// found on XMPP, and served by the open route.
    Discovery,
}

impl Way {
    /// Those that messages nearly always go.
    pub const USUAL: [Self; 3] = [Self::SipToSip, Self::SipToXmpp, Self::XmppToSip];
    /// All of them.
    pub const ALL: [Self; 4] = [Self::SipToSip, Self::SipToXmpp, Self::XmppToSip, Self::Discovery];

    /// As it is said in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::SipToSip => "SIP to SIP",
            Self::SipToXmpp => "SIP to XMPP",
            Self::XmppToSip => "XMPP to SIP",
            Self::Discovery => "discovery",
        }
    }

    /// As it is said on a command line.
    pub fn key(self) -> &'static str {
        match self {
            Self::SipToSip => "sip-sip",
            Self::SipToXmpp => "sip-xmpp",
            Self::XmppToSip => "xmpp-sip",
            Self::Discovery => "discovery",
        }
    }

    /// Whether every message has a final answer. XMPP has none for success.
    pub fn is_answered(self) -> bool {
        self != Self::XmppToSip
    }
}
