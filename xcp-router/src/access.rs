//! Who may do what through this router's HTTP. People log in with a name and a password and have a
//! session, on all routers; programs show an API token. Nothing but health is there for others.

mod first;
mod gate;
mod limits;
mod login;
mod password;
mod permission;
mod secret;
mod token;

use std::sync::Arc;

use openfed_node::settings::Settings;
use openfed_node::store::{self, Store, User};

use crate::catalogue::Catalogue;
use limits::{LockOut, Rates};
use password::Passwords;

pub(crate) use first::begin;
pub(crate) use gate::{OneTime, guard};
pub(crate) use login::{LoginError, NewSession, Session};
pub(crate) use password::fault as fault_of_password;
pub(crate) use permission::{Role, Scope, needed_scope};
pub(crate) use secret::{digest, one_time_password, random_hex};
pub(crate) use token::{LOCAL, mint};

/// Accounts and API tokens that one installation may have, each.
pub(crate) const MOST_ACCOUNTS: usize = 200;

/// Who sends a request, for handlers, the audit and the rate limit.
#[derive(Clone, Debug)]
pub(crate) struct Actor {
    /// A user's name, or `token:` and a token's name.
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Of a token: what it may do. Users may do what their role says.
    scopes: Option<Vec<Scope>>,
}

/// Accounts, sessions, tokens, and how often anybody may try. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Access(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    store: Arc<dyn Store>,
    catalogue: Arc<Catalogue>,
    passwords: Passwords,
    lock_out: LockOut,
    rates: Rates,
    /// Digest of the token in `router.token_file`, which is an administrator's.
    own: Option<String>,
    /// Whether this router speaks TLS: cookies are for TLS alone then.
    secure: bool,
}

impl Access {
    /// `own` is the digest of the token that the token file holds.
    pub(crate) fn new(
        settings: &Settings,
        store: Arc<dyn Store>,
        catalogue: Arc<Catalogue>,
        own: Option<String>,
    ) -> Self {
        let rates = Rates::new(settings.router.requests_per_second);
        let secure = settings.router.tls.is_some();
        let (passwords, lock_out) = (Passwords::default(), LockOut::default());
        Access(Arc::new(Shared { store, catalogue, passwords, lock_out, rates, own, secure }))
    }

    /// The hash of a password that is fit to be one.
    pub(crate) async fn hash(&self, password: &str) -> Result<String, LoginError> {
        self.0.passwords.hash(password).await
    }

    fn user(&self, name: &str) -> Option<User> {
        self.0
            .catalogue
            .read(|listing| listing.users.iter().find(|user| user.name == name).cloned())
    }

    fn store(&self) -> &dyn store::Store {
        self.0.store.as_ref()
    }
}
