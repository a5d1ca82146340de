//! What the router decides, without I/O: which way a packet goes, when a
//! domain is discovered, who gets the outcome.
//!
//! [`Router`] is driven from outside: one `handle_*` call per fact from the
//! world, then [`Router::next_command`] until there is none, then a sleep until
//! [`Router::poll_timeout`]. Time and randomness are arguments.
//!
//! ```text
//!  Submit ─▶ decide ─┬─ known ───────▶ Send | Home | Accept ─────────▶ Outcome
//!                    ├─ refused ─────────────────────────────────────▶ Outcome
//!                    └─ unknown ─▶ one discovery per domain
//!                                   ├ leads: Reach | Probe ─▶ Discover | Accept
//!                                   │        ─▶ Insert ────────────────▶ Outcome
//!                                   └ waits, then decided anew
//! ```

mod answers;
mod asking;
mod attempts;
mod changes;
mod clock;
mod command;
mod config;
mod core;
mod decide;
mod deliveries;
mod discovery;
mod domains;
mod endings;
mod expiring;
mod explain;
mod following;
mod links;
mod memory;
mod nodes;
mod rates;
mod recall;
mod routing;
mod taken;
mod trials;
mod usage;

pub use self::clock::Now;
pub use self::command::{Command, Event, Finished, InsertResult, StoreFact, TableChange};
pub use self::config::Config;
pub use self::core::Router;
pub use self::decide::Decision;
pub use self::domains::{Known, Rows};
pub use self::explain::{Explanation, Step};
pub use self::nodes::{LinkId, NodeView};
pub use self::trials::WayTried;

/// Hashing is seeded by the caller: a core has no randomness of its own.
pub(crate) type Map<K, V> = hashbrown::HashMap<K, V, foldhash::fast::FixedState>;
