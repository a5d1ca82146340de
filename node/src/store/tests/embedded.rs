//! What only a file can do to us.

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
    let _first = EmbeddedStore::open(directory.0.clone()).await.expect("opened");
    let second = EmbeddedStore::open(directory.0.clone()).await.expect_err("in use");
    assert!(matches!(second, StoreError::Locked(_)), "{second}");
    assert!(second.to_string().contains("several routers need Redis"), "{second}");
}

#[tokio::test]
async fn a_newer_layout_is_refused() {
    let directory = Directory::new();
    drop(EmbeddedStore::open(directory.0.clone()).await.expect("opened"));
    tamper(&directory, |transaction| {
        let mut numbers = transaction.open_table(NUMBERS).expect("numbers");
        numbers.insert("schema", 3).expect("written");
    });
    let refused = EmbeddedStore::open(directory.0.clone()).await.expect_err("refused");
    assert!(matches!(refused, StoreError::NewerLayout { found: 3 }), "{refused}");
}

#[tokio::test]
async fn an_upgrade_adds_the_open_route_blocked_and_leaves_configured_rows_alone() {
    let directory = Directory::new();
    let store = EmbeddedStore::open(directory.0.clone()).await.expect("opened");
    store.put_configured(&domain("a.example"), "old friend", 1).await.expect("configured");
    drop(store);
    tamper(&directory, |transaction| {
        transaction.delete_table(ROUTES).expect("no routes");
        transaction.open_table(NUMBERS).expect("numbers").remove("schema").expect("removed");
    });
    let store = EmbeddedStore::open(directory.0.clone()).await.expect("opened");
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.routes, [StaticRoute::predefined()]);
    assert_eq!(snapshot.rows, [(domain("a.example"), Origin::Configured)]);
}

#[tokio::test]
async fn a_file_that_is_no_store_is_an_error_that_names_it() {
    let directory = Directory::new();
    std::fs::create_dir_all(&directory.0).expect("a directory");
    std::fs::write(directory.0.join("openfed.redb"), "something else").expect("written");
    let error = EmbeddedStore::open(directory.0.clone()).await.expect_err("no store");
    assert!(error.to_string().contains("openfed.redb"), "{error}");
}

#[tokio::test]
async fn a_store_of_layout_1_is_migrated() {
    let directory = Directory::new();
    let store = EmbeddedStore::open(directory.0.clone()).await.expect("opened");
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
    let store = EmbeddedStore::open(directory.0.clone()).await.expect("opened");
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.rows, [(domain("a.example"), Origin::Configured)]);
    assert_eq!((snapshot.users, snapshot.tokens), (vec![], vec![]));
    assert_eq!(store.audit(None, 1).await.expect("an answer"), []);
}
