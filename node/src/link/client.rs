//! A connection manager's end of the links: dials every router that its settings' names lead to.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use openfed_proto::link::{FromCm, FromRouter, Hello};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Endpoint;

use super::reader::{Greeted, Inbound};
use super::wire::Stub;
use super::{CONNECTION_WINDOW, LinkEvent, LinkId, Links, Manners, NotSent, STREAM_WINDOW};
use crate::settings::HttpUrl;

/// All links of a connection manager. The engine keeps it; dropping it cuts them.
#[derive(Debug)]
pub struct LinkClient {
    links: Arc<Links<FromCm>>,
    tasks: TaskTracker,
    end: CancellationToken,
}

impl LinkClient {
    /// Starts dialling; news comes by the receiver. To be called within the runtime.
    pub fn start(
        routers: Vec<HttpUrl>,
        hello: Hello,
    ) -> (Self, mpsc::Receiver<LinkEvent<FromRouter>>) {
        Self::start_with(routers, hello, Manners::default())
    }

    pub(super) fn start_with(
        routers: Vec<HttpUrl>,
        hello: Hello,
        manners: Manners,
    ) -> (Self, mpsc::Receiver<LinkEvent<FromRouter>>) {
        let (events, receiver) = mpsc::channel(manners.queue);
        let (links, tasks, end) = (Links::new(), TaskTracker::new(), CancellationToken::new());
        let dialler = Arc::new(Dialler {
            hello,
            manners,
            links: links.clone(),
            events,
            end: end.clone(),
            addresses: Mutex::default(),
        });
        tasks.spawn(watch_names(dialler, routers, tasks.clone()));
        (Self { links, tasks, end }, receiver)
    }

    /// Queues a frame; never waits.
    ///
    /// # Errors
    /// [`NotSent`]: the frame is gone, and who sent it must do without.
    pub fn send(&self, link: LinkId, frame: FromCm) -> Result<(), NotSent> {
        self.links.send(link, frame)
    }

    /// Ends one link after what is queued for it; it is dialled again.
    pub fn close_link(&self, link: LinkId) {
        self.links.close(link);
    }

    /// Dials no more and ends all links, each after what is queued for it, within a second. The
    /// engine says `Leaving` before, and waits for what is under way.
    pub async fn close(self) {
        self.end.cancel();
        self.tasks.close();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await;
    }
}

impl Drop for LinkClient {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

struct Dialler {
    hello: Hello,
    manners: Manners,
    links: Arc<Links<FromCm>>,
    events: mpsc::Sender<LinkEvent<FromRouter>>,
    end: CancellationToken,
    addresses: Mutex<Addresses>,
}

#[derive(Default)]
struct Addresses {
    /// Where the configured names lead to, by name.
    wanted: BTreeMap<String, BTreeSet<SocketAddr>>,
    /// Those that have a task; one that is not wanted any more keeps its link till that ends.
    dialled: BTreeSet<SocketAddr>,
}

impl Addresses {
    fn is_wanted(&self, address: SocketAddr) -> bool {
        self.wanted.values().any(|addresses| addresses.contains(&address))
    }
}

/// Resolves the names again and again, and has each new address dialled.
async fn watch_names(dialler: Arc<Dialler>, routers: Vec<HttpUrl>, tasks: TaskTracker) {
    let mut every = tokio::time::interval(dialler.manners.resolve);
    loop {
        tokio::select! {
            () = dialler.end.cancelled() => return,
            _ = every.tick() => {}
        }
        for router in &routers {
            dialler.resolve(router).await;
        }
        for address in dialler.start_dialling() {
            tasks.spawn(dialler.clone().keep_dialling(address));
        }
    }
}

impl Dialler {
    /// Refreshes what `router` leads to. A name that does not resolve now keeps its addresses.
    async fn resolve(&self, router: &HttpUrl) {
        let host = (router.0.host.as_str(), router.0.port);
        match tokio::time::timeout(self.manners.greeting, tokio::net::lookup_host(host)).await {
            Ok(Ok(addresses)) => {
                self.addresses().wanted.insert(router.to_string(), addresses.collect());
            }
            Ok(Err(error)) => tracing::warn!(%router, %error, "the router's name does not resolve"),
            Err(_) => tracing::warn!(%router, "the router's name is not resolved in time"),
        }
    }

    /// Holds a link to `address` for as long as a configured name leads there.
    async fn keep_dialling(self: Arc<Self>, address: SocketAddr) {
        let (shortest, longest) = self.manners.redial;
        let mut wait = shortest;
        while self.goes_on(address) {
            match self.link(address).await {
                Ok(()) => wait = shortest,
                Err(reason) => tracing::debug!(%address, reason, "no link"),
            }
            // Jitter, so that a restarted router is not met by all managers at once.
            let jittered = wait.mul_f64(rand::random_range(0.5..1.0));
            tokio::select! {
                () = self.end.cancelled() => return,
                () = tokio::time::sleep(jittered.max(shortest)) => {}
            }
            wait = (wait * 2).min(longest);
        }
    }

    /// Dials once and lives through the link, if one comes about.
    async fn link(&self, address: SocketAddr) -> Result<(), String> {
        let (queue, frames) = mpsc::channel(self.manners.queue);
        let end = self.end.child_token();
        let (hello, inbound) = tokio::select! {
            () = end.cancelled() => return Err("this service ended".to_owned()),
            greeted = self.dial(address, frames) => greeted?,
        };
        let link = self.links.add(&hello.node, true, queue.clone(), end.clone());
        let link = link.ok_or_else(|| format!("{} is linked by another address", hello.node))?;
        // Nothing can have been queued before: the engine does not know the link yet.
        let _ = queue.try_send(FromCm::Hello(self.hello.clone()));
        drop(queue);
        let greeted = Greeted { link, hello, address, inbound, end };
        greeted.run(self.links.clone(), self.events.clone()).await;
        Ok(())
    }

    /// Connects and waits for the router's greeting.
    async fn dial(
        &self,
        address: SocketAddr,
        frames: mpsc::Receiver<FromCm>,
    ) -> Result<(Hello, Inbound<FromRouter>), String> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|error| error.to_string())?
            .connect_timeout(self.manners.greeting)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(self.manners.keepalive)
            .keep_alive_timeout(self.manners.keepalive_answer)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        let dial = async {
            let channel = endpoint.connect().await.map_err(|error| error.to_string())?;
            let frames = ReceiverStream::new(frames).map(Into::into);
            let attached = Stub::new(channel).attach(frames).await;
            attached.map_err(|status| status.message().to_owned())
        };
        let attached = tokio::time::timeout(self.manners.greeting, dial);
        let attached = attached.await.map_err(|_| "no answer in time".to_owned())??;
        let mut inbound = Inbound(attached.into_inner());
        let hello = inbound.greeting(self.manners.greeting).await?;
        Ok((hello, inbound))
    }

    /// The wanted addresses that have no task yet; from now on they have.
    fn start_dialling(&self) -> Vec<SocketAddr> {
        let addresses = &mut *self.addresses();
        let wanted = addresses.wanted.values().flatten().copied();
        wanted.filter(|address| addresses.dialled.insert(*address)).collect()
    }

    /// Whether `address` is still to be dialled; if not, its task is over.
    fn goes_on(&self, address: SocketAddr) -> bool {
        let mut addresses = self.addresses();
        let goes_on = addresses.is_wanted(address) && !self.end.is_cancelled();
        if !goes_on {
            addresses.dialled.remove(&address);
        }
        goes_on
    }

    fn addresses(&self) -> MutexGuard<'_, Addresses> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
