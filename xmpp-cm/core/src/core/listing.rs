//! The streams, for operators to look at.

use openfed_proto::link::{FromCm, STREAMS_SHOWN, StreamView};

use super::conn::{Conn, Side};
use super::{Command, ConnId, Core, RouterId};
use crate::stream::Stream;

impl Core {
    /// Tells a router of the streams. When there are many, those for which stanzas wait come first,
    /// as they are what one looks for.
    pub(super) fn list_streams(&mut self, router: RouterId) {
        let views = self.conns.iter().map(|(id, conn)| self.view(*id, conn));
        let mut streams: Vec<StreamView> = views.collect();
        let total = u32::try_from(streams.len()).unwrap_or(u32::MAX);
        streams.sort_by_key(|view| std::cmp::Reverse(view.queued));
        streams.truncate(STREAMS_SHOWN);
        let frame = FromCm::Streams { streams, total };
        self.commands.push_back(Command::ToRouter { router, frame });
    }

    fn view(&self, id: ConnId, conn: &Conn) -> StreamView {
        let (local, remote) = conn.stream.as_ref().map(Stream::domains).unwrap_or_default();
        let (mut local, mut remote) = (local.cloned(), remote.cloned());
        if let Side::Dialed(dialed) = &conn.side {
            local.get_or_insert_with(|| dialed.first.local.domain().clone());
            remote.get_or_insert_with(|| dialed.first.remote.domain().clone());
        }
        let waiting = conn.pairs.iter().filter_map(|pair| self.peers.queued(pair));
        let queued: usize = waiting.filter(|(own, _)| *own == id).map(|(_, count)| count).sum();
        StreamView {
            local,
            remote,
            dialed: !conn.is_accepted(),
            encrypted: conn.is_encrypted(),
            authenticated: conn.authenticated,
            pairs: u32::try_from(conn.pairs.len()).unwrap_or(u32::MAX),
            queued: u32::try_from(queued).unwrap_or(u32::MAX),
        }
    }
}
