//! Passwords of next hops do not lie in the store in clear: they are sealed with a key that lies
//! elsewhere, so that a copy of the store alone gives none away.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use openfed_proto::route::Credentials;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::StoreError;
use crate::private;

/// The key of a machine that lies with what it seals.
pub(super) const WITHIN: &str = "openfed.key";

/// Of the key, in bytes.
const LENGTH: usize = 32;

/// Seals, and opens what was sealed; without a key, neither.
pub(super) struct Seal(Option<LessSafeKey>);

#[derive(Serialize, Deserialize)]
struct Sealed {
    username: String,
    password: String,
}

impl Seal {
    /// No key.
    pub(super) fn none() -> Self {
        Self(None)
    }

    /// With the key in this file (32 bytes in base64), which is made if it is not there.
    ///
    /// # Errors
    /// If it cannot be read or made, or holds no key.
    pub(super) fn of_file(path: &Path) -> Result<Self, StoreError> {
        let wrong = |error: io::Error| StoreError::Key(format!("{}: {error}", path.display()));
        if let Err(error) = make(path)
            && error.kind() != ErrorKind::AlreadyExists
            && !path.exists()
        {
            return Err(wrong(error));
        }
        private::narrow(path);
        let text = std::fs::read_to_string(path).map_err(wrong)?;
        let no_key = || wrong(io::Error::other("holds no key (32 bytes in base64)"));
        let key = STANDARD.decode(text.trim()).map_err(|_| no_key())?;
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| no_key())?;
        Ok(Self(Some(LessSafeKey::new(key))))
    }

    /// With a key of this machine for the store in `directory`: beside it, so that a copy of the
    /// folder has none; or in it, where nothing can be written beside.
    ///
    /// # Errors
    /// As [`Seal::of_file`].
    pub(super) fn of_machine(directory: &Path) -> Result<Self, StoreError> {
        let mut beside = directory.as_os_str().to_owned();
        beside.push(".key");
        let (beside, within) = (PathBuf::from(beside), directory.join(WITHIN));
        if within.exists() && !beside.exists() {
            return Self::of_file(&within);
        }
        Self::of_file(&beside).or_else(|error| match beside.exists() {
            true => Err(error),
            false => {
                std::fs::create_dir_all(directory).map_err(|error| {
                    StoreError::Key(format!("{}: {error}", directory.display()))
                })?;
                Self::of_file(&within)
            }
        })
    }

    pub(super) fn has_key(&self) -> bool {
        self.0.is_some()
    }

    /// The credentials of this route, sealed; none without a key.
    pub(super) fn seal(&self, route: u32, credentials: &Credentials) -> Option<String> {
        let key = self.0.as_ref()?;
        let Credentials { username, password } = credentials.clone();
        let mut text = serde_json::to_vec(&Sealed { username, password }).ok()?;
        let nonce: [u8; NONCE_LEN] = rand::random();
        let of = Nonce::assume_unique_for_key(nonce);
        key.seal_in_place_append_tag(of, bound_to(route), &mut text).ok()?;
        Some(STANDARD.encode([&nonce[..], &text].concat()))
    }

    /// What was sealed for this route; none if it was sealed with another key, or for another route.
    pub(super) fn open(&self, route: u32, sealed: &str) -> Option<Credentials> {
        let key = self.0.as_ref()?;
        let mut bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = key.open_in_place(nonce, bound_to(route), text).ok()?;
        let Sealed { username, password } = serde_json::from_slice(text).ok()?;
        Some(Credentials { username, password })
    }
}

/// A route's password is of no use in another route.
fn bound_to(route: u32) -> Aad<[u8; 4]> {
    Aad::from(route.to_be_bytes())
}

/// Whole or not at all: several routers may share the file.
fn make(path: &Path) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let new = path.with_extension(format!("{:016x}", rand::random::<u64>()));
    let key: [u8; LENGTH] = rand::random();
    let mut file = private::file(&new)?;
    let written = writeln!(file, "{}", STANDARD.encode(key)).and_then(|()| file.sync_all());
    let linked = written.and_then(|()| std::fs::hard_link(&new, path));
    std::fs::remove_file(&new)?;
    linked
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Seal").field(&self.has_key()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(std::path::PathBuf);

    impl Place {
        fn new() -> Self {
            let name = format!("openfed-seal-{:x}", rand::random::<u64>());
            let place = std::env::temp_dir().join(name);
            std::fs::create_dir_all(&place).expect("a folder");
            Self(place)
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn what_is_sealed_is_opened_with_the_same_key_for_the_same_route_alone() {
        let place = Place::new();
        let (one, two) = (place.0.join("one.key"), place.0.join("two.key"));
        let seal = Seal::of_file(&one).expect("made");
        let known = Credentials { username: "us".to_owned(), password: "hunter2".to_owned() };
        let sealed = seal.seal(7, &known).expect("sealed");
        assert!(!sealed.contains("hunter2") && seal.seal(7, &known) != Some(sealed.clone()));
        let again = Seal::of_file(&one).expect("read");
        assert_eq!(again.open(7, &sealed), Some(known.clone()));
        assert_eq!(again.open(8, &sealed), None);
        assert_eq!(Seal::of_file(&two).expect("made").open(7, &sealed), None);
        for broken in ["", "x", &sealed[..8], &sealed.replace(&sealed[30..32], "//")] {
            assert_eq!(seal.open(7, broken), None, "{broken}");
        }
        assert_eq!((Seal::none().seal(7, &known), Seal::none().open(7, &sealed)), (None, None));
    }

    #[test]
    fn a_file_without_a_key_is_refused_and_stays() {
        let place = Place::new();
        let file = place.0.join("poor.key");
        for text in ["", "short", "!"] {
            std::fs::write(&file, text).expect("written");
            let refused = Seal::of_file(&file).expect_err("refused");
            assert!(refused.to_string().contains("poor.key"), "{refused}");
            assert_eq!(std::fs::read_to_string(&file).expect("read"), text);
        }
    }
}
