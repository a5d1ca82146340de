//! Passwords: argon2id, off the thread that serves pages, few at once.

use std::sync::{Arc, OnceLock};

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::sync::Semaphore;

use super::login::LoginError;
use super::secret::random_hex;

/// Passwords that are worked on at once; each takes 19 MiB and some 20 ms.
const AT_ONCE: usize = 2;
/// Passwords that may wait for their turn.
const WAITING: usize = 14;
/// The shortest and the longest password, in characters and bytes.
const LENGTH: (usize, usize) = (10, 256);

/// Why a text cannot be a password.
pub(crate) fn fault(password: &str) -> Option<String> {
    let (least, most) = LENGTH;
    let fits = password.chars().count() >= least && password.len() <= most;
    (!fits).then(|| format!("must have at least {least} characters, and at most {most} bytes"))
}

/// Works on passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Default for Passwords {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE + WAITING));
        Self { turns: Arc::new(Semaphore::new(AT_ONCE)), places }
    }
}

impl Passwords {
    /// The hash as a PHC string, with a salt of its own.
    pub(super) async fn hash(&self, password: &str) -> Result<String, LoginError> {
        let password = password.to_owned();
        self.work(move || hash(&password)).await?.ok_or(LoginError::Busy)
    }

    /// Whether the password is the one of `hash`. Without a hash it is not, after the same time.
    pub(super) async fn is_right(
        &self,
        password: &str,
        hash: Option<String>,
    ) -> Result<bool, LoginError> {
        let password = password.to_owned();
        self.work(move || {
            let known = hash.is_some();
            let hash = hash.unwrap_or_else(|| nobodys().to_owned());
            let parsed = PasswordHash::new(&hash);
            let right = |parsed: PasswordHash| {
                Argon2::default().verify_password(password.as_bytes(), &parsed).is_ok()
            };
            parsed.is_ok_and(right) && known
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, LoginError> {
        let place = self.places.clone().try_acquire_owned().map_err(|_| LoginError::Busy)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| LoginError::Busy)?;
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            // Somebody who has gone away meanwhile does not make room for more work.
            drop((turn, place));
            done
        });
        done.await.map_err(|_| LoginError::Busy)
    }
}

fn hash(password: &str) -> Option<String> {
    let mut salt = [0_u8; 16];
    rand::fill(&mut salt);
    let hash = Argon2::default().hash_password_with_salt(password.as_bytes(), &salt);
    hash.ok().map(|hash: PasswordHash| hash.to_string())
}

/// The hash of a password that nobody has.
fn nobodys() -> &'static str {
    static HASH: OnceLock<String> = OnceLock::new();
    HASH.get_or_init(|| hash(&random_hex::<32>()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[tokio::test]
    async fn a_hash_is_argon2id_salted_and_of_one_password() {
        let passwords = Passwords::default();
        let one = passwords.hash("correct horse").await.unwrap();
        let two = passwords.hash("correct horse").await.unwrap();
        assert!(one.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{one}");
        assert_ne!(one, two);
        assert!(passwords.is_right("correct horse", Some(one.clone())).await.unwrap());
        assert!(!passwords.is_right("correct horsf", Some(one)).await.unwrap());
        assert!(!passwords.is_right("correct horse", None).await.unwrap());
        assert!(!passwords.is_right("correct horse", Some("nonsense".into())).await.unwrap());
    }

    #[tokio::test]
    async fn a_name_that_nobody_has_takes_as_long_as_a_wrong_password() {
        let passwords = Passwords::default();
        let known = passwords.hash("correct horse").await.unwrap();
        // The quickest of some: whatever else this machine does only makes them slower.
        let quickest = async |hash: &Option<String>| {
            let mut quickest = Duration::MAX;
            for _ in 0..5 {
                let begun = Instant::now();
                assert!(!passwords.is_right("wrong password", hash.clone()).await.unwrap());
                quickest = quickest.min(begun.elapsed());
            }
            quickest
        };
        let (somebody, nobody) = (quickest(&Some(known)).await, quickest(&None).await);
        assert!(nobody > somebody / 4, "{nobody:?}, and {somebody:?} for a wrong password");
    }

    #[tokio::test]
    async fn more_passwords_than_places_are_told_to_come_later() {
        let passwords = Arc::new(Passwords::default());
        let all = (0..AT_ONCE + WAITING + 4).map(|_| {
            let passwords = passwords.clone();
            async move { passwords.hash("correct horse").await }
        });
        let ended = futures_util::future::join_all(all).await;
        let busy = ended.iter().filter(|hash| matches!(hash, Err(LoginError::Busy))).count();
        assert_eq!(busy, 4);
        assert!(passwords.hash("correct horse").await.is_ok(), "and later it works");
    }

    #[test]
    fn a_password_has_a_length() {
        assert!(fault("123456789").is_some() && fault(&"x".repeat(257)).is_some());
        assert!(fault("1234567890").is_none() && fault(&"x".repeat(256)).is_none());
    }
}
