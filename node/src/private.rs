//! Files and folders that nobody else is to read: keys, tokens, an embedded store.
//!
//! What is ours is made so, and mended with a warning: somebody may have read it meanwhile. What the
//! operator brought, and what belongs to another user, is his to mend: there is only the warning.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// What group and others may do.
const NOT_OURS: u32 = 0o077;
/// What others may do.
const OTHERS: u32 = 0o007;
/// Who may do what, without the kind of the file.
const ALL: u32 = 0o777;

/// Makes the folder (0700) if it is not there, or narrows it to that. One in which other things lie
/// than `is_ours` knows by name is left as it is: they may be for others to read.
///
/// # Errors
/// If it is not there and cannot be made.
pub fn folder(path: &Path, is_ours: impl Fn(&OsStr) -> bool) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // The folders above it are nobody's secret.
            path.parent().map_or(Ok(()), fs::create_dir_all)?;
            DirBuilder::new().mode(0o700).create(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        made => return made,
    }
    let wide = fs::metadata(path).is_ok_and(|found| found.mode() & NOT_OURS != 0);
    let alone = || {
        let mut within = fs::read_dir(path)?;
        within.try_fold(true, |alone, entry| {
            Ok::<_, io::Error>(alone && is_ours(&entry?.file_name()))
        })
    };
    match wide.then(alone) {
        None => {}
        Some(Ok(true)) => narrow(path),
        Some(Ok(false) | Err(_)) => look(path),
    }
    Ok(())
}

/// Opens the file for reading and writing, made (0600) if it is not there; one that is wider is
/// narrowed.
///
/// # Errors
/// If it cannot be opened or made.
pub fn file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let opened = options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let opened = opened.open(path)?;
    narrow(path);
    Ok(opened)
}

/// Takes from others what they may do with a file or folder of ours; with a warning, for they may
/// have done it.
pub fn narrow(path: &Path) {
    let Some((found, mode)) = wide(path, NOT_OURS) else { return };
    if found.uid() != rustix::process::geteuid().as_raw() {
        return look(path);
    }
    let (was, path_shown) = (format!("{mode:04o}"), path.display());
    let narrowed = fs::set_permissions(path, Permissions::from_mode(mode & !NOT_OURS));
    match narrowed {
        Ok(()) => tracing::warn!(path = %path_shown, was, "others had access to it: narrowed"),
        Err(error) => tracing::warn!(path = %path_shown, was, %error, "others have access to it"),
    }
}

/// Warns if everybody has access to what the operator brought. One that is not there is no matter.
pub fn look(path: &Path) {
    if let Some((_, mode)) = wide(path, OTHERS) {
        let mode = format!("{mode:04o}");
        tracing::warn!(path = %path.display(), mode, "everybody on this machine has access to it");
    }
}

fn wide(path: &Path, whose: u32) -> Option<(Metadata, u32)> {
    let found = fs::metadata(path).ok()?;
    let mode = found.mode() & ALL;
    (mode & whose != 0).then_some((found, mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode_of(path: &Path) -> u32 {
        fs::metadata(path).expect("it is there").mode() & ALL
    }

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    }

    /// A folder that goes with the scene.
    struct Place(std::path::PathBuf);

    impl Place {
        fn new() -> Self {
            let name = format!("openfed-private-{:x}", rand::random::<u64>());
            Self(std::env::temp_dir().join(name))
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_folder_is_made_private_and_mended_if_all_in_it_is_ours() {
        let place = Place::new();
        let own = place.0.join("above").join("own");
        let is_ours = |name: &OsStr| name == "ours";
        folder(&own, is_ours).expect("made");
        assert_eq!(mode_of(&own), 0o700);
        set(&own, 0o755);
        fs::write(own.join("ours"), "").expect("written");
        folder(&own, is_ours).expect("mended");
        assert_eq!(mode_of(&own), 0o700);
        set(&own, 0o755);
        fs::write(own.join("theirs"), "").expect("written");
        folder(&own, is_ours).expect("left as it is");
        assert_eq!(mode_of(&own), 0o755);
    }

    #[test]
    fn a_file_is_made_private_and_mended_and_what_is_in_it_stays() {
        let place = Place::new();
        fs::create_dir_all(&place.0).expect("a folder");
        let own = place.0.join("own");
        file(&own).expect("made");
        assert_eq!(mode_of(&own), 0o600);
        fs::write(&own, "a secret").expect("written");
        set(&own, 0o664);
        file(&own).expect("opened");
        assert_eq!(mode_of(&own), 0o600);
        assert_eq!(fs::read_to_string(&own).expect("read"), "a secret");
        // What nobody may write stays so.
        set(&own, 0o444);
        narrow(&own);
        assert_eq!(mode_of(&own), 0o400);
        // One that is not there is no matter.
        narrow(&place.0.join("none"));
    }
}
