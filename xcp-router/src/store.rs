//! What the store tells, in the core's words.

use std::mem;
use std::sync::Arc;
use std::time::Duration;

use openfed_node::http::Health;
use openfed_node::store::{self, Change, Inserted, Store, StoreError, StoreEvent, Token, User};
use openfed_node::thread::Thread;
use tokio::sync::mpsc;
use tokio::time::interval;
use xcp_router_core::{InsertResult, Rows, StoreFact, TableChange};

use crate::api::Audit;
use crate::catalogue::Catalogue;

/// How often a store that takes no changes is asked whether it does.
const TRY: Duration = Duration::from_secs(1);

/// The part of this service that works badly then.
const TAKES_NONE: &str = "store changes";

/// Follows the store on a thread of its own, where a large snapshot may take its time: the engine
/// gets it ready-made. The catalogue has the news before the engine hears of it. `node` is who notes
/// that the store went back; while it takes no changes, `health` says so.
pub(crate) fn follow(
    beside: &Thread,
    store: Arc<dyn Store>,
    catalogue: Arc<Catalogue>,
    (node, health): (String, Health),
) -> mpsc::Receiver<StoreFact> {
    let (sender, receiver) = mpsc::channel(64);
    beside.handle().spawn(async move {
        let mut news = store::follow(store.clone());
        let (audit, mut version) = (Audit::new(store.clone()), 0);
        let (mut trouble, mut again) = (store.trouble(), interval(TRY));
        loop {
            let takes_none = trouble.borrow().is_some();
            let mut event = tokio::select! {
                Some(event) = news.recv() => event,
                Ok(()) = trouble.changed() => {
                    tell(&health, trouble.borrow_and_update().as_deref());
                    continue;
                }
                _ = again.tick(), if takes_none => {
                    // What comes of it is told by `trouble`.
                    let _ = store.try_writing().await;
                    continue;
                }
                // The engine has ended; holding on would keep the store open.
                () = sender.closed() => return,
                else => return,
            };
            let went_back = went_back(&event, &mut version);
            if let Some((users, tokens)) = accounts(&mut event) {
                catalogue.take_accounts(users, tokens);
            }
            // By now a snapshot is nothing but the router's table: a million rows are not held twice.
            let fact = fact(event);
            catalogue.apply(&fact);
            // An engine that has just ended is noticed in the next round.
            let _ = sender.send(fact).await;
            if let Some((from, to)) = went_back {
                audit.went_back(&node, from, to).await;
            }
        }
    });
    receiver
}

/// Says whether the store takes changes.
fn tell(health: &Health, trouble: Option<&str>) {
    let effect = "what is known goes on, changes are refused, new domains are not remembered";
    match trouble {
        Some(cause) => health.degrade(TAKES_NONE, format!("{cause}: {effect}")),
        None => health.recover(TAKES_NONE),
    }
}

/// From which version to which, if this node was the first to find that the store went back.
fn went_back(event: &StoreEvent, version: &mut u64) -> Option<(u64, u64)> {
    let (now, raised) = match event {
        StoreEvent::Snapshot(snapshot) => (snapshot.mark.version, snapshot.raised),
        StoreEvent::Changes { version, .. } => (*version, false),
        StoreEvent::Up | StoreEvent::Down(_) => return None,
    };
    let before = mem::replace(version, now);
    raised.then_some((before, now))
}

/// The accounts that news of the store bring.
fn accounts(event: &mut StoreEvent) -> Option<(Vec<User>, Vec<Token>)> {
    match event {
        StoreEvent::Snapshot(snapshot) => {
            Some((mem::take(&mut snapshot.users), mem::take(&mut snapshot.tokens)))
        }
        StoreEvent::Changes { changes, .. } => changes.iter_mut().find_map(|change| match change {
            Change::Access(users, tokens) => Some((mem::take(users), mem::take(tokens))),
            _ => None,
        }),
        StoreEvent::Up | StoreEvent::Down(_) => None,
    }
}

/// News of the store as the core takes it.
fn fact(event: StoreEvent) -> StoreFact {
    match event {
        StoreEvent::Snapshot(snapshot) => {
            let mut rows = Rows::new(rand::random());
            rows.extend(snapshot.rows);
            StoreFact::Snapshot {
                era: snapshot.mark.era,
                version: snapshot.mark.version,
                rows,
                routes: snapshot.routes,
                blocked: snapshot.blocked,
                pinned: snapshot.pinned,
            }
        }
        StoreEvent::Changes { version, changes } => StoreFact::Changes {
            version,
            changes: changes.into_iter().filter_map(change).collect(),
        },
        StoreEvent::Up => StoreFact::Up,
        StoreEvent::Down(_) => StoreFact::Down,
    }
}

/// What the core needs to know of.
fn change(change: Change) -> Option<TableChange> {
    Some(match change {
        Change::Row(domain, origin) => TableChange::Row(domain, origin),
        Change::RowRemoved(domain) => TableChange::RowRemoved(domain),
        Change::Routes(routes) => TableChange::Routes(routes),
        Change::Blocked(patterns) => TableChange::Blocked(patterns),
        Change::Pinned(domains) => TableChange::Pinned(domains),
        Change::Access(..) => return None,
    })
}

/// A row that is there already is as good as a new one.
pub(crate) fn insert_result(result: Result<Inserted, StoreError>) -> InsertResult {
    match result {
        Ok(Inserted::New(version) | Inserted::Exists(version)) => InsertResult::Present { version },
        Ok(Inserted::NotOpen) => InsertResult::Refused("the open route is closed"),
        Ok(Inserted::Blocked) => InsertResult::Refused("the domain is blocked"),
        Ok(Inserted::Pinned) => InsertResult::Refused("the domain is pinned to XMPP"),
        Ok(Inserted::TableFull) => InsertResult::Refused("the domain table is full"),
        Err(error) => {
            tracing::warn!(%error, "no row inserted");
            InsertResult::Unavailable
        }
    }
}
