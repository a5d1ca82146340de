//! Who may connect to us, and how often at once.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::{Accepted, Limits, Report, task};

/// After an error of the listener itself, e.g. out of files.
const PAUSE: Duration = Duration::from_millis(50);

#[derive(Debug)]
pub(super) struct Admission {
    limits: Limits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
    trusted: HashSet<IpAddr>,
}

/// The room of one connection; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    admission: Arc<Admission>,
    address: IpAddr,
}

impl Admission {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    pub(super) fn trust(&self, addresses: impl IntoIterator<Item = IpAddr>) {
        self.state().trusted.extend(addresses.into_iter().map(|address| address.to_canonical()));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Slot> {
        let address = address.to_canonical();
        let mut state = self.state();
        let trusted = state.trusted.contains(&address);
        if state.total >= self.limits.accepted {
            return None;
        }
        let count = state.by_address.entry(address).or_default();
        if !trusted && *count >= self.limits.per_address {
            return None;
        }
        *count += 1;
        state.total += 1;
        Some(Slot { admission: self.clone(), address })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut state = self.admission.state();
        state.total = state.total.saturating_sub(1);
        if let Some(count) = state.by_address.get_mut(&self.address) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                state.by_address.remove(&self.address);
            }
        }
    }
}

pub(super) async fn accept(
    listener: TcpListener,
    admission: Arc<Admission>,
    reporter: mpsc::Sender<Report>,
) {
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // Without room the connection is closed at once: better than to let it wait.
                let Some(slot) = admission.admit(peer.ip()) else { continue };
                task::prepare(&stream);
                let accepted = Accepted { stream, peer, slot };
                if reporter.send(Report::Accepted(accepted)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept connections");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}
