//! A router holds packets until the servers that keep them have been told that they need not: it hears
//! so when those words are with the system, for what is not may end with this process.

use std::collections::{BTreeMap, BTreeSet};

use openfed_proto::link::FromCm;

use super::{Command, ConnId, Core, RouterId};

/// Words to servers that are being written, by the mark behind them.
#[derive(Debug, Default)]
pub(super) struct Acknowledging {
    marks: u64,
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    router: RouterId,
    packets: u64,
    conns: BTreeSet<ConnId>,
}

impl Core {
    /// Streams have something to say of packets that this router holds, and have said it.
    pub(super) fn acknowledge(&mut self, router: RouterId, packets: u64, conns: BTreeSet<ConnId>) {
        if conns.is_empty() {
            return self.acknowledged(router, packets);
        }
        self.acknowledging.marks += 1;
        let mark = self.acknowledging.marks;
        let marks = conns.iter().map(|conn| Command::Mark { conn: *conn, mark });
        self.commands.extend(marks);
        self.acknowledging.waiting.insert(mark, Waiting { router, packets, conns });
    }

    /// All that was to be written before the mark is with the system.
    pub fn handle_written(&mut self, conn: ConnId, mark: u64) {
        let Some(waiting) = self.acknowledging.waiting.get_mut(&mark) else { return };
        waiting.conns.remove(&conn);
        if !waiting.conns.is_empty() {
            return;
        }
        let (router, packets) = (waiting.router, waiting.packets);
        self.acknowledging.waiting.remove(&mark);
        self.acknowledged(router, packets);
    }

    /// Nobody knows what that server has heard: the router goes on by itself.
    pub(super) fn acknowledges_no_more(&mut self, conn: ConnId) {
        self.acknowledging.waiting.retain(|_, waiting| !waiting.conns.contains(&conn));
    }

    fn acknowledged(&mut self, router: RouterId, packets: u64) {
        let frame = FromCm::Acknowledged(packets);
        self.commands.push_back(Command::ToRouter { router, frame });
    }
}
