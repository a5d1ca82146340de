//! Users, tokens, sessions and the audit, the same in both stores.

use super::super::accounts::AUDIT;
use super::*;

fn user(name: &str, version: u64) -> User {
    User {
        name: name.to_owned(),
        hash: "$argon2id$…".to_owned(),
        role: "viewer".to_owned(),
        created: 7,
        epoch: "e".to_owned(),
        one_time: false,
        version,
    }
}

fn token(id: &str, version: u64) -> Token {
    Token {
        id: id.to_owned(),
        name: format!("name of {id}"),
        digest: "d".to_owned(),
        scopes: vec!["read".to_owned()],
        created: 7,
        last_used: 0,
        version,
    }
}

fn session(digest: &str, seen: u64, version: u64) -> Session {
    let text = |text: &str| text.to_owned();
    let (user, epoch, csrf) = (text("ada"), text("e"), text("c"));
    Session { digest: text(digest), user, epoch, csrf, created: 7, seen, version }
}

pub(super) async fn accounts_come_with_snapshots_and_changes(place: &mut Place) {
    let store = place.open().await;
    let start = store.snapshot().await.expect("a snapshot").mark.version;
    assert_eq!(store.put(&user("bob", 1)).await.expect("an answer"), Written::Done);
    assert_eq!(store.put(&user("ada", 1)).await.expect("an answer"), Written::Done);
    assert_eq!(store.put(&token("t1", 1)).await.expect("an answer"), Written::Done);
    let (version, told) = changes(store.as_ref(), start).await;
    let users = vec![user("ada", 1), user("bob", 1)];
    assert_eq!(told, [Change::Access(users.clone(), vec![token("t1", 1)])]);
    assert_eq!(version, start + 3);
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!((snapshot.users, snapshot.tokens), (users, vec![token("t1", 1)]));

    assert_eq!(store.remove::<User>("bob").await.expect("an answer"), Written::Done);
    assert_eq!(store.remove::<User>("bob").await.expect("an answer"), Written::Missing);
    let (_, told) = changes(store.as_ref(), version).await;
    assert_eq!(told, [Change::Access(vec![user("ada", 1)], vec![token("t1", 1)])]);
}

pub(super) async fn a_record_that_changed_in_the_meantime_is_not_overwritten(place: &mut Place) {
    let store = place.open().await;
    assert_eq!(store.put(&user("ada", 2)).await.expect("an answer"), Written::Missing);
    assert_eq!(store.put(&user("ada", 1)).await.expect("an answer"), Written::Done);
    assert_eq!(store.put(&user("ada", 1)).await.expect("an answer"), Written::Conflict(1));
    assert_eq!(store.put(&user("ada", 2)).await.expect("an answer"), Written::Done);
    assert_eq!(store.put(&user("ada", 2)).await.expect("an answer"), Written::Conflict(2));
    assert_eq!(store.find::<User>("ada").await.expect("an answer"), Some(user("ada", 2)));
}

pub(super) async fn sessions_are_kept_and_not_told(place: &mut Place) {
    let store = place.open().await;
    let start = store.snapshot().await.expect("a snapshot").mark.version;
    for digest in ["s1", "s2"] {
        let written = store.put(&session(digest, 7, 1)).await;
        assert_eq!(written.expect("an answer"), Written::Done);
    }
    assert_eq!(store.put(&session("s1", 9, 2)).await.expect("an answer"), Written::Done);
    assert_eq!(store.remove::<Session>("s2").await.expect("an answer"), Written::Done);
    drop(store);
    let store = place.open().await;
    assert_eq!(store.all::<Session>().await.expect("an answer"), [session("s1", 9, 2)]);
    assert_eq!(store.find::<Session>("s2").await.expect("an answer"), None);
    assert_eq!(changes(store.as_ref(), start).await, (start, vec![]), "nobody is woken");
}

pub(super) async fn the_audit_is_read_in_pages_newest_first(place: &mut Place) {
    let store = place.open().await;
    store.snapshot().await.expect("prepared");
    for number in 1..=5 {
        store.add_audit(&format!("entry {number}")).await.expect("added");
    }
    let page = async |before, limit| store.audit(before, limit).await.expect("an answer");
    let entry = |number: u64| (number, format!("entry {number}"));
    assert_eq!(page(None, 2).await, [entry(5), entry(4)]);
    assert_eq!(page(Some(4), 2).await, [entry(3), entry(2)]);
    assert_eq!(page(Some(2), 9).await, [entry(1)]);
    assert_eq!(page(Some(1), 9).await, []);
}

#[tokio::test]
async fn the_audit_forgets_its_oldest() {
    let mut place = Place::redis();
    let store = place.open().await;
    // Redis cuts whole nodes of a stream, of some hundred entries.
    let entries = AUDIT + 500;
    for number in 0..entries {
        store.add_audit(&number.to_string()).await.expect("added");
    }
    let kept = store.audit(None, 100_000).await.expect("an answer");
    assert!((AUDIT..entries).contains(&(kept.len() as u64)), "{}", kept.len());
    drop(store);
    place = Place::embedded();
    let store = place.open().await;
    for number in 1..=3 {
        store.add_audit(&number.to_string()).await.expect("added");
    }
    assert_eq!(store.audit(None, 9).await.expect("an answer").len(), 3);
}

#[tokio::test]
async fn what_is_no_record_of_ours_does_not_hide_the_rest() {
    let store = Place::embedded().open().await;
    store.put(&user("ada", 1)).await.expect("written");
    let written = store.write_record(Table::Users, "bad", None, Some("{}")).await;
    assert_eq!(written.expect("an answer"), Written::Done);
    let snapshot = store.snapshot().await.expect("a snapshot");
    assert_eq!(snapshot.users, [user("ada", 1)]);
}

#[test]
fn no_hash_is_shown() {
    let shown = format!("{:?} {:?}", user("ada", 1), session("0123456789abcdef", 1, 1));
    assert_eq!(shown, "User(ada…) Session(01234567…)");
}
