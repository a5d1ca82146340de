//! The router's end of the links.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, StreamExt};
use openfed_proto::link::{FromCm, FromRouter, Hello};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic::transport::server::{TcpConnectInfo, TcpIncoming};
use tonic::{Request, Response, Status, Streaming};

use crate::listening;

use super::reader::{Greeted, Inbound};
use super::wire::{Service, ServiceServer, WireFromCm, WireFromRouter};
use super::{CONNECTION_WINDOW, LinkEvent, LinkId, Links, Manners, NotSent, STREAM_WINDOW};

/// All links of a router. The engine keeps it; dropping it cuts them.
#[derive(Debug)]
pub struct LinkServer {
    address: SocketAddr,
    links: Arc<Links<FromRouter>>,
    tasks: TaskTracker,
    end: CancellationToken,
    server: JoinHandle<()>,
}

impl LinkServer {
    /// Listens at `address` and greets every manager with `hello`; news comes by the receiver.
    ///
    /// # Errors
    /// If the address cannot be listened at.
    pub async fn start(
        address: SocketAddr,
        hello: Hello,
    ) -> io::Result<(Self, mpsc::Receiver<LinkEvent<FromCm>>)> {
        Self::start_with(address, hello, Manners::default()).await
    }

    pub(super) async fn start_with(
        address: SocketAddr,
        hello: Hello,
        manners: Manners,
    ) -> io::Result<(Self, mpsc::Receiver<LinkEvent<FromCm>>)> {
        let listener = listening::tcp(address).map_err(|error| {
            io::Error::new(error.kind(), format!("cannot listen at link {address}: {error}"))
        })?;
        let address = listener.local_addr()?;
        tracing::info!(%address, "listening for links");
        let (events, receiver) = mpsc::channel(manners.queue);
        let (links, tasks, end) = (Links::new(), TaskTracker::new(), CancellationToken::new());
        let service = Attach {
            hello,
            manners,
            links: links.clone(),
            events,
            tasks: tasks.clone(),
            end: end.clone(),
        };
        let serve = Server::builder()
            .http2_keepalive_interval(Some(manners.keepalive))
            .http2_keepalive_timeout(Some(manners.keepalive_answer))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .add_service(ServiceServer::new(service))
            .serve_with_incoming_shutdown(
                // Without it, p99 of a round trip is 74 ms.
                TcpIncoming::from(listener).with_nodelay(Some(true)),
                end.clone().cancelled_owned(),
            );
        let server = tokio::spawn(async move {
            if let Err(error) = serve.await {
                tracing::error!(%error, "the link server failed");
            }
        });
        Ok((Self { address, links, tasks, end, server }, receiver))
    }

    /// The address that is really listened at.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Queues a frame; never waits.
    ///
    /// # Errors
    /// [`NotSent`]: the frame is gone, and who sent it must do without.
    pub fn send(&self, link: LinkId, frame: FromRouter) -> Result<(), NotSent> {
        self.links.send(link, frame)
    }

    /// Ends one link after what is queued for it.
    pub fn close_link(&self, link: LinkId) {
        self.links.close(link);
    }

    /// Takes no new links and ends all, each after what is queued for it, within a second. The
    /// engine says `Leaving` before, and waits for what is under way.
    pub async fn close(mut self) {
        self.end.cancel();
        self.links.close_all();
        self.tasks.close();
        // A graceful end of the server alone would wait for peers that do not read any more.
        let all = async {
            self.tasks.wait().await;
            let _ = (&mut self.server).await;
        };
        let _ = tokio::time::timeout(Duration::from_secs(1), all).await;
    }
}

impl Drop for LinkServer {
    fn drop(&mut self) {
        self.end.cancel();
        self.links.close_all();
        self.server.abort();
    }
}

struct Attach {
    hello: Hello,
    manners: Manners,
    links: Arc<Links<FromRouter>>,
    events: mpsc::Sender<LinkEvent<FromCm>>,
    tasks: TaskTracker,
    end: CancellationToken,
}

#[tonic::async_trait]
impl Service for Attach {
    type AttachStream = Pin<Box<dyn Stream<Item = Result<WireFromRouter, Status>> + Send>>;

    async fn attach(
        &self,
        request: Request<Streaming<WireFromCm>>,
    ) -> Result<Response<Self::AttachStream>, Status> {
        if self.end.is_cancelled() {
            return Err(Status::unavailable("this router is leaving"));
        }
        let address = request.extensions().get::<TcpConnectInfo>().and_then(|tcp| tcp.remote_addr);
        let address = address.ok_or_else(|| Status::internal("a peer without an address"))?;
        let address = listening::canonical(address);
        let (queue, frames) = mpsc::channel(self.manners.queue);
        let greeting = queue.try_send(FromRouter::Hello(self.hello.clone()));
        greeting.map_err(|_| Status::internal("no room for a greeting"))?;
        let mut inbound = Inbound(request.into_inner());
        let (links, events, within) =
            (self.links.clone(), self.events.clone(), self.manners.greeting);
        let end = self.end.child_token();
        self.tasks.spawn(async move {
            match inbound.greeting(within).await {
                // A second link of one manager is the engine's to judge: it knows the epochs.
                Ok(hello) => {
                    let Some(link) = links.add(&hello.node, false, queue, end.clone()) else {
                        return;
                    };
                    Greeted { link, hello, address, inbound, end }.run(links, events).await;
                }
                Err(reason) => tracing::debug!(%address, reason, "no link"),
            }
        });
        let frames = ReceiverStream::new(frames).map(|frame| Ok(frame.into()));
        Ok(Response::new(Box::pin(frames)))
    }
}
