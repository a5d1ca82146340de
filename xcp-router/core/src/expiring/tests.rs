use super::*;

const LIFE: Duration = Duration::from_secs(10);

#[test]
#[allow(clippy::disallowed_methods, reason = "a scene begins at any moment")]
fn entries_end_on_time_and_the_oldest_makes_room() {
    let start = Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut map = Expiring::new(LIFE, 2, 7);
    map.insert(&"a", 1, at(0));
    map.insert(&"b", 2, at(1));
    map.insert(&"c", 3, at(2));
    assert_eq!(map.get(&"a", at(2)), None, "two fit");
    assert_eq!(map.get(&"b", at(2)), Some(&2));
    // Used again, it lives on; the stale mark in the queue does not end it.
    map.insert(&"b", 4, at(5));
    map.sweep(at(12));
    assert_eq!(map.get(&"b", at(12)), Some(&4));
    assert_eq!(map.len(), 1);
    map.sweep(at(15));
    assert!(map.is_empty());
    assert_eq!(map.len(), 0);
}

#[test]
#[allow(clippy::disallowed_methods, reason = "a scene begins at any moment")]
fn constant_use_does_not_grow_the_queue() {
    let start = Instant::now();
    let mut map = Expiring::new(LIFE, 100, 7);
    for millis in 0..5_000 {
        map.insert(&"a", (), start + Duration::from_millis(millis));
    }
    assert!(map.order.len() <= 7, "{}", map.order.len());
}
