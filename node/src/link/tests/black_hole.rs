//! A wire that can go dead without closing.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

pub(super) struct BlackHole {
    address: SocketAddr,
    dead: CancellationToken,
}

impl BlackHole {
    /// Passes on to `target` until it swallows.
    pub(super) async fn before(target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let dead = CancellationToken::new();
        let until = dead.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(pass(near, target, until.clone()));
            }
        });
        Self { address, dead }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on nothing gets through, and nothing is closed.
    pub(super) fn swallow(&self) {
        self.dead.cancel();
    }
}

async fn pass(mut near: TcpStream, target: SocketAddr, dead: CancellationToken) {
    let Ok(mut far) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        () = dead.cancelled() => std::future::pending().await,
    }
}
