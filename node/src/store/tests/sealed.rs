//! Passwords of next hops in the store.

use super::place::{Directory, RedisServer};
use super::*;

fn with_password() -> StaticRoute {
    let credentials = Credentials { username: "us".to_owned(), password: "hunter2".to_owned() };
    StaticRoute { credentials: Some(credentials), ..example_route() }
}

fn key(directory: &Directory) -> Seal {
    std::fs::create_dir_all(&directory.0).expect("a folder");
    Seal::of_file(&directory.0.join("own.key")).expect("a key")
}

async fn only_route(store: &dyn Store) -> StaticRoute {
    store.snapshot().await.expect("a snapshot").routes.remove(1)
}

#[tokio::test]
async fn an_embedded_store_holds_no_password_in_clear() {
    let (directory, keys) = (Directory::new(), Directory::new());
    let store = EmbeddedStore::open(directory.0.clone(), key(&keys)).await.expect("opened");
    let route = store.create_route(&with_password()).await.expect("created");
    let changed = StaticRoute { port: 5061, ..route };
    let changed = store.update_route(&changed).await.expect("changed");
    drop(store);
    let file = std::fs::read(directory.0.join("openfed.redb")).expect("the file");
    let holds = |text: &[u8]| file.windows(text.len()).any(|part| part == text);
    assert!(holds(b"example.partner") && !holds(b"hunter2"));
    let store = EmbeddedStore::open(directory.0.clone(), key(&keys)).await.expect("opened");
    assert_eq!(only_route(&store).await, changed);
    drop(store);
    // Whoever has the file alone has the route without its password.
    let store = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened");
    assert_eq!(only_route(&store).await, StaticRoute { credentials: None, ..changed });
}

#[tokio::test]
async fn what_lay_there_in_clear_is_sealed_when_there_is_a_key() {
    let (directory, keys) = (Directory::new(), Directory::new());
    let store = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened");
    let route = store.create_route(&with_password()).await.expect("created");
    drop(store);
    drop(EmbeddedStore::open(directory.0.clone(), key(&keys)).await.expect("opened"));
    let store = EmbeddedStore::open(directory.0.clone(), Seal::none()).await.expect("opened");
    assert_eq!(only_route(&store).await.credentials, None, "sealed");
    drop(store);
    let store = EmbeddedStore::open(directory.0.clone(), key(&keys)).await.expect("opened");
    assert_eq!(only_route(&store).await, route);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_holds_no_password_in_clear_for_routers_with_a_key() {
    let (server, keys) = (RedisServer::start(), Directory::new());
    let before = server.store().create_route(&with_password()).await.expect("created");
    let routes = || server.get("HVALS", "openfed:routes");
    assert!(routes().await.contains("hunter2"), "without a key");
    let store = RedisStore::new(&server.url(), key(&keys)).expect("a usable URL");
    // What lay there is sealed when the first one with a key reads it, and stays the same route.
    assert_eq!(only_route(&store).await, before);
    assert!(!routes().await.contains("hunter2"));
    store.update_route(&StaticRoute { port: 5061, ..before.clone() }).await.expect("changed");
    store.create_route(&with_password()).await.expect("created");
    let shown = routes().await;
    assert!(shown.matches("sealed").count() == 2 && !shown.contains("hunter2"), "{shown}");
    // Another router with the key reads it.
    let other = RedisStore::new(&server.url(), key(&keys)).expect("a usable URL");
    assert_eq!(only_route(&other).await.credentials, before.credentials);
}

#[tokio::test]
async fn the_key_of_a_machine_lies_beside_the_folder() {
    let directory = Directory::new();
    let data = directory.0.join("data");
    std::fs::create_dir_all(&directory.0).expect("a folder");
    let url = crate::settings::StoreUrl::Embedded(data.clone());
    let route = {
        let store = open(&url, None).await.expect("opened");
        store.create_route(&with_password()).await.expect("created")
    };
    assert!(directory.0.join("data.key").is_file() && !data.join("openfed.key").exists());
    let store = open(&url, None).await.expect("opened again");
    assert_eq!(only_route(store.as_ref()).await, route);
}
