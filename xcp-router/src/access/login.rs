//! Logging in and out, and the sessions in between. The browser has a random id; the store, shared
//! by all routers, has its digest.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use axum::http::HeaderValue;
use openfed_node::store::{Session as Record, StoreError, User, Written};
use thiserror::Error;

use super::permission::Role;
use super::secret::{digest, random_hex};
use super::{Access, Actor};
use crate::now;

/// The cookie.
const COOKIE: &str = "openfed_session";
/// A session ends after so long without a request, in seconds.
const IDLE: u64 = 30 * 60;
/// And in any case after so long.
const LONGEST: u64 = 12 * 3_600;
/// Whoever was seen less than so long ago need not be noted again.
const NOTED: u64 = 60;
/// Sessions there may be, in all and of one user; the one unseen for longest goes.
const MOST: (usize, usize) = (1_000, 20);

/// A log-in that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    record: Record,
}

impl Session {
    /// What a request for a change must show, besides the cookie.
    pub(crate) fn csrf(&self) -> &str {
        &self.record.csrf
    }

    /// When it ends if nothing is asked any more, in seconds since the Unix epoch.
    pub(crate) fn ends(&self) -> u64 {
        ends(&self.record)
    }
}

/// What a log-in gives.
#[derive(Debug)]
pub(crate) struct NewSession {
    pub(crate) session: Session,
    pub(crate) actor: Actor,
    /// The value of `Set-Cookie`.
    pub(crate) cookie: HeaderValue,
    /// The password was for one log-in: nothing else is possible before it is changed.
    pub(crate) must_change: bool,
}

/// Why nobody was logged in, or a password not taken.
#[derive(Debug, Error)]
pub(crate) enum LoginError {
    /// Which of the two, nobody is told.
    #[error("name or password is wrong")]
    Wrong,
    /// Too many wrong passwords.
    #[error("too many tries: wait {} s", .0.as_secs() + 1)]
    Wait(Duration),
    /// Too many passwords at once.
    #[error("too many log-ins at once")]
    Busy,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Access {
    /// Checks the password and begins a session with an id of its own.
    pub(crate) async fn log_in(
        &self,
        name: &str,
        password: &str,
        peer: IpAddr,
    ) -> Result<NewSession, LoginError> {
        let name = name.trim().to_lowercase();
        let user = self.check(&name, password, peer).await?;
        self.begin_session(&user).await
    }

    /// Replaces a user's password by the user's own wish. All sessions of the user end; the new one
    /// takes the place of this one.
    pub(crate) async fn change_password(
        &self,
        session: &Session,
        (old, new): (&str, &str),
        peer: IpAddr,
    ) -> Result<NewSession, LoginError> {
        let user = self.check(&session.record.user, old, peer).await?;
        let hash = self.hash(new).await?;
        let (epoch, version) = (random_hex::<8>(), user.version + 1);
        let user = User { hash, epoch, one_time: false, version, ..user };
        match self.store().put(&user).await? {
            Written::Done => {}
            Written::Conflict(_) | Written::Missing => return Err(LoginError::Busy),
        }
        let same = |found: &User| found.name == user.name && found.version >= user.version;
        self.0.catalogue.settled(|listing| listing.users.iter().any(same)).await;
        self.forget_sessions(&user.name).await?;
        self.begin_session(&user).await
    }

    /// Ends a session; gives the value of `Set-Cookie` that makes the browser forget it.
    pub(crate) async fn log_out(&self, session: &Session) -> Result<HeaderValue, StoreError> {
        self.store().remove::<Record>(&session.record.digest).await?;
        Ok(self.cookie("", 0))
    }

    /// Ends all sessions of a user.
    pub(crate) async fn forget_sessions(&self, user: &str) -> Result<(), StoreError> {
        for session in self.store().all::<Record>().await? {
            if session.user == user {
                self.store().remove::<Record>(&session.digest).await?;
            }
        }
        Ok(())
    }

    /// The user, if the password is right. Wrong names take as long as wrong passwords.
    async fn check(&self, name: &str, password: &str, peer: IpAddr) -> Result<User, LoginError> {
        // Nobody has a name or password like that: not worth remembering.
        let name = if name.len() > 64 { "" } else { name };
        let password = if password.len() > 256 { "" } else { password };
        let Access(shared) = self;
        shared.lock_out.begin(name, peer, Instant::now()).map_err(LoginError::Wait)?;
        let user = self.user(name);
        let hash = user.as_ref().map(|user| user.hash.clone());
        let right = shared.passwords.is_right(password, hash).await?;
        let Some(user) = user.filter(|_| right) else {
            tracing::warn!(source = %peer, "a log-in failed");
            return Err(LoginError::Wrong);
        };
        shared.lock_out.succeeded(name, peer);
        Ok(user)
    }

    async fn begin_session(&self, user: &User) -> Result<NewSession, LoginError> {
        self.make_room(&user.name).await?;
        let (id, seconds) = (random_hex::<32>(), now().unix_s());
        let record = Record {
            digest: digest(&id),
            user: user.name.clone(),
            epoch: user.epoch.clone(),
            csrf: random_hex::<32>(),
            created: seconds,
            seen: seconds,
            version: 1,
        };
        self.store().put(&record).await?;
        let actor = of_user(user).ok_or(LoginError::Wrong)?;
        let cookie = self.cookie(&id, LONGEST);
        Ok(NewSession { session: Session { record }, actor, cookie, must_change: user.one_time })
    }

    /// Removes sessions that are over, and those unseen for longest if there are too many.
    async fn make_room(&self, user: &str) -> Result<(), StoreError> {
        let mut all = self.store().all::<Record>().await?;
        all.sort_by_key(|session| std::cmp::Reverse(session.seen));
        let (mut kept, mut own) = (0, 0);
        for session in all {
            let is_own = session.user == user;
            let stays = !is_over(&session) && kept < MOST.0 - 1 && (!is_own || own < MOST.1 - 1);
            if stays {
                kept += 1;
                own += usize::from(is_own);
            } else {
                self.store().remove::<Record>(&session.digest).await?;
            }
        }
        Ok(())
    }

    /// The session of a cookie header, and whose it is; notes that it was seen.
    pub(super) async fn session(
        &self,
        cookies: &str,
    ) -> Result<Option<(Session, Actor, bool)>, StoreError> {
        let Some(id) = cookie_of(cookies) else { return Ok(None) };
        let Some(record) = self.store().find::<Record>(&digest(id)).await? else { return Ok(None) };
        let session = Session { record };
        let Some(user) = self.user_of(&session) else { return Ok(None) };
        let Some(actor) = of_user(&user) else { return Ok(None) };
        let seconds = now().unix_s();
        let record = &session.record;
        if seconds.saturating_sub(record.seen) >= NOTED {
            let seen = Record { seen: seconds, version: record.version + 1, ..record.clone() };
            // Another request may have noted it at the same time: as good.
            self.store().put(&seen).await?;
        }
        Ok(Some((session, actor, user.one_time)))
    }

    /// Whether the session still is one; does not count as being seen.
    pub(super) async fn goes_on(&self, session: &Session) -> bool {
        match self.store().find::<Record>(&session.record.digest).await {
            Ok(record) => record.is_some_and(|record| self.user_of(&Session { record }).is_some()),
            Err(error) => error.is_temporary(),
        }
    }

    /// Whose session it is, unless it is over.
    fn user_of(&self, session: &Session) -> Option<User> {
        self.owner(session).filter(|_| !is_over(&session.record))
    }

    /// Whose session it is, however old it is.
    pub(super) fn owner(&self, session: &Session) -> Option<User> {
        let record = &session.record;
        self.user(&record.user).filter(|user| user.epoch == record.epoch)
    }

    fn cookie(&self, id: &str, seconds: u64) -> HeaderValue {
        let secure = if self.0.secure { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        HeaderValue::from_str(&cookie).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

/// A user whose role this program does not know may do nothing.
fn of_user(user: &User) -> Option<Actor> {
    Some(Actor { name: user.name.clone(), role: Role::parse(&user.role)?, scopes: None })
}

fn ends(record: &Record) -> u64 {
    (record.created + LONGEST).min(record.seen + IDLE)
}

fn is_over(record: &Record) -> bool {
    now().unix_s() >= ends(record)
}

/// The session's id among cookies.
fn cookie_of(cookies: &str) -> Option<&str> {
    let mut pairs = cookies.split(';').filter_map(|pair| pair.trim().split_once('='));
    let (_, id) = pairs.find(|(name, _)| *name == COOKIE)?;
    (id.len() == 64).then_some(id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use openfed_node::settings::{Identity, Settings, StoreUrl};
    use openfed_node::store;

    use super::*;

    fn record(created_ago: u64, seen_ago: u64) -> Record {
        let seconds = now().unix_s();
        Record {
            digest: String::new(),
            user: "ada".into(),
            epoch: String::new(),
            csrf: String::new(),
            created: seconds - created_ago,
            seen: seconds - seen_ago,
            version: 1,
        }
    }

    #[test]
    fn a_session_ends_when_idle_and_in_any_case_after_half_a_day() {
        assert!(!is_over(&record(0, 0)));
        assert!(!is_over(&record(LONGEST - 10, IDLE - 10)));
        assert!(is_over(&record(LONGEST - 10, IDLE)));
        assert!(is_over(&record(LONGEST, 0)));
    }

    #[tokio::test]
    async fn a_router_that_speaks_tls_gives_cookies_for_tls_alone() {
        let directory = tempfile::tempdir().unwrap();
        let store = StoreUrl::Embedded(directory.path().join("store"));
        let store = store::open(&store, None).await.unwrap();
        let mut settings = Settings::default();
        let cookie = |settings: &Settings| {
            let access = Access::new(settings, store.clone(), Arc::default(), None);
            access.cookie("x", LONGEST).to_str().unwrap().ends_with("; Secure")
        };
        assert!(!cookie(&settings));
        settings.router.tls = Some(Identity { certificate: "a.crt".into(), key: "a.key".into() });
        assert!(cookie(&settings));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        let id = "a".repeat(64);
        assert_eq!(cookie_of(&format!("x=1; {COOKIE}={id}; y=2")), Some(id.as_str()));
        assert_eq!(cookie_of(&format!("x{COOKIE}={id}")), None);
        assert_eq!(cookie_of(&format!("{COOKIE}=short")), None);
    }
}
