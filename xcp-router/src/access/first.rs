//! The first start: somebody must be able to get in, with no step that could be forgotten.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use openfed_node::private;
use openfed_node::settings::Settings;
use openfed_node::store::{Store, User, Written};

use super::secret::{digest, one_time_password, random_hex};
use super::{Access, Role};
use crate::catalogue::Catalogue;
use crate::now;

/// The longest token file; nobody's secret is longer.
const LONGEST: u64 = 4_096;

/// How often a first administrator is tried to be made while the store does not answer.
const AGAIN: Duration = Duration::from_secs(2);

/// Whoever can read the store's files, or a file that the settings name, is an administrator, by
/// the token in it; the command `openfed` finds it there. Makes it if there is none.
///
/// # Errors
/// If there is a file that cannot be read or holds no good token.
pub(crate) fn begin(settings: &Settings) -> io::Result<Option<String>> {
    let Some(path) = settings.token_file() else { return Ok(None) };
    private::narrow(&path);
    let failed = |error: io::Error| {
        io::Error::new(error.kind(), format!("router.token_file {}: {error}", path.display()))
    };
    let token = match read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            if let Err(error) = make(&path) {
                // Messages go on without it.
                tracing::warn!(file = %path.display(), %error, "the token file cannot be made");
                return Ok(None);
            }
            read(&path).map_err(failed)?
        }
        read => read.map_err(failed)?,
    };
    Ok(Some(digest(&token)))
}

fn read(path: &Path) -> io::Result<String> {
    if fs::metadata(path)?.len() > LONGEST {
        return Err(io::Error::new(ErrorKind::InvalidData, "is too long for a token"));
    }
    let token = fs::read_to_string(path)?.trim().to_owned();
    if token.len() < 32 {
        let message = "holds no token of at least 32 characters";
        return Err(io::Error::new(ErrorKind::InvalidData, message));
    }
    Ok(token)
}

/// Whole or not at all: several routers may share the file's directory.
fn make(path: &Path) -> io::Result<()> {
    let own: PathBuf = path.with_extension(format!("{}.new", random_hex::<4>()));
    if let Some(directory) = path.parent().filter(|directory| !directory.exists()) {
        private::folder(directory, |_| true)?;
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&own)?;
    let written = writeln!(file, "openfed_local_{}", random_hex::<24>());
    let linked = written.and_then(|()| file.sync_all()).and_then(|()| fs::hard_link(&own, path));
    fs::remove_file(&own)?;
    match linked {
        // Another router was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        linked => linked,
    }
}

impl Access {
    /// As soon as the store was read: if it has no user, makes the first one, and says so where
    /// only the one who started this process looks.
    pub(crate) async fn first_administrator(self) {
        let Access(shared) = &self;
        if !known(&shared.catalogue).await {
            return;
        }
        loop {
            if shared.catalogue.read(|listing| !listing.users.is_empty()) {
                return;
            }
            match self.make_first(&shared.store).await {
                Some(password) => return tell(&password),
                None => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    async fn make_first(&self, store: &Arc<dyn Store>) -> Option<String> {
        let password = one_time_password();
        let user = User {
            name: "administrator".to_owned(),
            hash: self.hash(&password).await.ok()?,
            role: Role::Administrator.as_str().to_owned(),
            created: now().unix_s(),
            epoch: random_hex::<8>(),
            one_time: true,
            version: 1,
        };
        // Of several routers that start at once, one is the first.
        let written = store.put(&user).await.ok()?;
        (written == Written::Done).then_some(password)
    }
}

/// Waits until the store was read; false if that will never be.
async fn known(catalogue: &Catalogue) -> bool {
    let mut applied = catalogue.watch();
    while !catalogue.read(|listing| listing.loaded) {
        if applied.changed().await.is_err() {
            return false;
        }
    }
    true
}

/// Not to the log, which goes to other machines: to the console of this process.
fn tell(password: &str) {
    let text = format!(
        "\n  The first start: log in as \"administrator\" with the password\n\n      {password}\n\n  \
         It is shown this once, is good for one log-in, and is changed there.\n  \
         (openfed admin user password administrator sets another one.)\n\n"
    );
    let _ = io::stderr().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use openfed_node::settings::StoreUrl;

    use super::*;

    fn settings(directory: &Path) -> Settings {
        let store = StoreUrl::Embedded(directory.join("store"));
        Settings { store, ..Settings::default() }
    }

    #[test]
    fn a_token_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().unwrap();
        let settings = settings(directory.path());
        let first = begin(&settings).unwrap().unwrap();
        assert_eq!(begin(&settings).unwrap(), Some(first));
        let files: Vec<_> = fs::read_dir(directory.path().join("store")).unwrap().collect();
        assert_eq!(files.len(), 1, "{files:?}");
        let mode = files[0].as_ref().unwrap().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        // One that others could read is mended.
        let file = files[0].as_ref().unwrap().path();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        begin(&settings).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_token_that_is_there_is_taken_and_a_poor_one_refused() {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = settings(directory.path());
        let file = directory.path().join("token");
        settings.router.token_file = Some(file.clone());
        fs::write(&file, format!("{}\n", "x".repeat(32))).unwrap();
        assert_eq!(begin(&settings).unwrap(), Some(digest(&"x".repeat(32))));
        fs::write(&file, "short").unwrap();
        let error = begin(&settings).unwrap_err().to_string();
        assert!(error.contains("token") && error.contains("32 characters"), "{error}");
    }

    #[test]
    fn a_shared_store_without_a_token_file_has_no_token_of_its_own() {
        let store = StoreUrl::Redis("redis://redis.example".into());
        let settings = Settings { store, ..Settings::default() };
        assert_eq!(begin(&settings).unwrap(), None);
    }
}
