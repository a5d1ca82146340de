//! What only a file can do to us.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use redb::{Database, TableDefinition};

use super::place::Directory;
use super::*;

const NUMBERS: TableDefinition<'_, &str, u64> = TableDefinition::new("numbers");
const ROUTES: TableDefinition<'_, u32, &str> = TableDefinition::new("routes");

fn tamper(directory: &Directory, tamper: impl FnOnce(&redb::WriteTransaction)) {
    let database = Database::create(directory.0.join("openfed.redb")).expect("the file");
    let transaction = database.begin_write().expect("a transaction");
    tamper(&transaction);
    transaction.commit().expect("committed");
}

#[tokio::test]
async fn a_second_opener_is_told_that_the_store_is_in_use() {
    let directory = Directory::new();
    let _first = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened");
    let second = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect_err("in use");
    assert!(matches!(second, StoreError::Locked(_)), "{second}");
    assert!(second.to_string().contains("several routers need Redis"), "{second}");
}

#[tokio::test]
async fn a_newer_layout_is_refused() {
    let directory = Directory::new();
    drop(EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened"));
    tamper(&directory, |transaction| {
        let mut numbers = transaction.open_table(NUMBERS).expect("numbers");
        numbers.insert("schema", 3).expect("written");
    });
    let refused =
        EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect_err("refused");
    assert!(matches!(refused, StoreError::NewerLayout { found: 3 }), "{refused}");
}

#[tokio::test]
async fn an_upgrade_adds_the_open_route_blocked_and_leaves_configured_rows_alone() {
    let directory = Directory::new();
    let store = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened");
    store.put_configured(&domain("a.example"), "old friend", 1).await.expect("configured");
    drop(store);
    tamper(&directory, |transaction| {
        transaction.delete_table(ROUTES).expect("no routes");
        transaction.open_table(NUMBERS).expect("numbers").remove("schema").expect("removed");
    });
    let store = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened");
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.routes, [StaticRoute::predefined()]);
    assert_eq!(snapshot.rows, [(domain("a.example"), Origin::Configured)]);
}

#[tokio::test]
async fn a_file_that_is_no_store_is_an_error_that_names_it() {
    let directory = Directory::new();
    std::fs::create_dir_all(&directory.0).expect("a directory");
    std::fs::write(directory.0.join("openfed.redb"), "something else").expect("written");
    let error = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect_err("no store");
    assert!(error.to_string().contains("openfed.redb"), "{error}");
}

#[tokio::test]
async fn a_store_of_layout_1_is_migrated() {
    let directory = Directory::new();
    let store = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened");
    store.put_configured(&domain("a.example"), "old friend", 1).await.expect("configured");
    drop(store);
    tamper(&directory, |transaction| {
        for table in ["users", "tokens", "sessions", "notes"] {
            let table: TableDefinition<'_, &str, &str> = TableDefinition::new(table);
            assert!(transaction.delete_table(table).expect("deleted"));
        }
        let mut numbers = transaction.open_table(NUMBERS).expect("numbers");
        numbers.insert("schema", 1).expect("written");
    });
    let store = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened");
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.rows, [(domain("a.example"), Origin::Configured)]);
    assert_eq!((snapshot.users, snapshot.tokens), (vec![], vec![]));
    assert_eq!(store.audit(None, 1).await.expect("an answer"), []);
}

fn mode_of(path: &std::path::Path) -> u32 {
    std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}

#[tokio::test]
async fn the_store_is_for_nobody_else_and_mended_if_it_was() {
    let directory = Directory::new();
    let file = directory.0.join("openfed.redb");
    drop(EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened"));
    assert_eq!((mode_of(&directory.0), mode_of(&file)), (0o700, 0o600));
    for (path, mode) in [(&directory.0, 0o755), (&file, 0o644)] {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("changed");
    }
    drop(EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened"));
    assert_eq!((mode_of(&directory.0), mode_of(&file)), (0o700, 0o600));
}

/// A file system of its own that is soon full; only root may mount one.
struct SmallDisk(Directory);

impl SmallDisk {
    fn mount(bytes: u64) -> Self {
        let directory = Directory::new();
        std::fs::create_dir_all(&directory.0).expect("a directory");
        let size = format!("size={bytes}");
        let mut mount = std::process::Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&directory.0).output();
        let mounted = mounted.expect("mount runs");
        assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
        Self(directory)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(&self.0.0).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_changes_and_is_written_again_when_there_is_room() {
    let disk = SmallDisk::mount(4 << 20);
    // Given a store on a disk that something else fills
    let ballast = disk.0.0.join("ballast");
    let store = EmbeddedStore::open(disk.0.0.join("data"), Seal::none()).await.expect("opened");
    let mut trouble = store.trouble();
    store.put_configured(&domain("first.example"), "", 1).await.expect("configured");
    let rows = |round: usize| {
        let name = move |number| domain(&format!("n{number}.r{round}.example"));
        (0..500).map(move |number| (name(number), "x".repeat(200))).collect::<Vec<_>>()
    };
    let _ = std::fs::write(&ballast, vec![0; 8 << 20]);
    // When it is written on
    let mut confirmed = 1;
    let refused = loop {
        match store.import(&rows(confirmed), 1).await {
            Ok(done) => confirmed += usize::try_from(done.added).expect("some") / 500,
            Err(error) => break error,
        }
        assert!(confirmed < 100, "never full");
    };
    // Then it says so, and what was confirmed is there; changes are refused, and it can be read
    assert!(
        matches!(&refused, StoreError::Unwritable(cause) if cause.contains("space")),
        "{refused}"
    );
    assert!(trouble.borrow_and_update().as_ref().is_some_and(|cause| cause.contains("space")));
    let expected = 1 + (confirmed - 1) * 500;
    assert_eq!(store.snapshot().await.expect("a snapshot").rows.len(), expected);
    let again = store.import(&rows(confirmed), 1).await.expect_err("refused again");
    assert!(matches!(again, StoreError::Unwritable(_)), "{again}");
    let version = store.snapshot().await.expect("a snapshot").mark.version;
    // And when there is room, writing goes on
    std::fs::remove_file(&ballast).expect("removed");
    store.try_writing().await.expect("there is room");
    assert_eq!(*trouble.borrow_and_update(), None);
    let done = store.import(&rows(confirmed), 1).await.expect("imported");
    assert_eq!(done.added, 500);
    let (now, _) = changes(&store, version).await;
    assert_eq!(now, version + 2);
    // And it is all there for whoever opens it next.
    drop(store);
    let store = EmbeddedStore::open(disk.0.0.join("data"), Seal::none()).await.expect("opened");
    let rows = store.snapshot().await.expect("a snapshot").rows;
    assert_eq!(rows.len(), expected + 500);
}
