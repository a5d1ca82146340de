//! The life of one link at either end: greeting, frames, end.

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use openfed_proto::link::Hello;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Streaming;

use super::wire::Frame;
use super::{LinkEvent, LinkId, Links};

/// How long the peer of a link that is closed here may take to read what was queued for it.
const LINGER: Duration = Duration::from_millis(500);

/// The frames that a peer sends; ends with a reason for people.
pub(super) struct Inbound<In: Frame>(pub(super) Streaming<In::Wire>);

impl<In: Frame> Inbound<In> {
    async fn next(&mut self) -> Result<In, String> {
        match self.0.message().await {
            Ok(Some(wire)) => In::decode(wire).map_err(|error| format!("bad frame: {error}")),
            Ok(None) => Err("closed by the peer".to_owned()),
            Err(status) => Err(format!("lost: {}", status.message())),
        }
    }

    /// The first frame, which must be a greeting.
    pub(super) async fn greeting(&mut self, within: Duration) -> Result<Hello, String> {
        let first = tokio::time::timeout(within, self.next());
        let first = first.await.map_err(|_| "no greeting in time".to_owned())??;
        first.into_hello().map_err(|_| "the first frame is not a greeting".to_owned())
    }
}

/// A link that is one of the links, and whose peer has greeted.
pub(super) struct Greeted<In: Frame> {
    pub(super) link: LinkId,
    pub(super) hello: Hello,
    pub(super) address: SocketAddr,
    pub(super) inbound: Inbound<In>,
    /// Cut from outside.
    pub(super) end: CancellationToken,
}

impl<In: Frame> Greeted<In> {
    /// Reads until the link ends, whatever ends it; returns after the engine was told.
    pub(super) async fn run<Out>(
        self,
        links: Arc<Links<Out>>,
        events: mpsc::Sender<LinkEvent<In>>,
    ) {
        let Self { link, hello, address, mut inbound, end } = self;
        let (node, role) = (hello.node.clone(), hello.role.as_str());
        tracing::info!(link = link.0, node, role, %address, "link up");
        let _ = events.send(LinkEvent::Up { link, hello, address }).await;
        // A panic must not leave a link that looks alive.
        let mut read = pin!(AssertUnwindSafe(read(link, &mut inbound, &events)).catch_unwind());
        let reason = tokio::select! {
            () = end.cancelled() => {
                // Dropping the stream now would drop what is still queued for the peer. So only
                // our writer ends; the peer then ends its own.
                links.hush(link);
                let _ = tokio::time::timeout(LINGER, read).await;
                "closed here".to_owned()
            }
            () = events.closed() => "this service ended".to_owned(),
            read = &mut read => read.unwrap_or_else(|_| "the reader failed".to_owned()),
        };
        links.hush(link);
        tracing::info!(link = link.0, node, role, reason, "link down");
        // The engine may be gone; then nobody needs to know.
        let _ = events.send(LinkEvent::Down { link, reason }).await;
        // Not before: the engine must not see the next link to this node come up first.
        links.remove(link);
    }
}

async fn read<In: Frame>(
    link: LinkId,
    inbound: &mut Inbound<In>,
    events: &mpsc::Sender<LinkEvent<In>>,
) -> String {
    loop {
        let frame = match inbound.next().await {
            Ok(frame) => frame,
            Err(reason) => return reason,
        };
        let frame = match frame.into_hello() {
            Ok(_) => return "greeted twice".to_owned(),
            Err(frame) => frame,
        };
        if events.send(LinkEvent::Frame { link, frame, at: Instant::now() }).await.is_err() {
            return "this service ended".to_owned();
        }
    }
}
